#!/bin/bash
# Runs one node of the embedded cluster until it is told to stop.
#
# ROLE        control-plane (which runs pods too) or worker
# POD_SUBNET  of this node's pods; PEERS lists the others', as name=subnet
# REGISTRY    image names that begin with it are pulled from REGISTRY_ENDPOINT
#
# /etc/kubernetes holds the node's certificates and kubeconfigs, /var/lib/slipway what it must not lose.
set -eu

POD_NETWORK=10.244.0.0/16
SERVICE_NETWORK=10.96.0.0/16
DATA=/var/lib/slipway
LOGS=/var/log/slipway

say() { echo "$(date --utc +%FT%TZ) $*"; }

open_the_container_up() {
    mount --make-rshared /
    mount --bind /proc/sys/net /proc/sys/net # the node's own; the rest is the machine's and stays read-only
    mount -o remount,bind,rw /proc/sys/net
    for hierarchy in $(findmnt --raw --noheadings --output TARGET --types cgroup,cgroup2); do
        mount -o remount,bind,rw "$hierarchy"
    done
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then let_children_have_controllers; fi
}

# cgroup v2 allows no processes beside children that have controllers.
let_children_have_controllers() {
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || true
    sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
}

# The kubelet wants these kernel settings, which are the whole machine's: it sees them, and nothing changes.
pretend_kernel_settings() {
    local setting file
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        file=/run/slipway/settings/${setting%=*}
        mkdir -p "$(dirname "$file")"
        echo "${setting#*=}" >"$file"
        mount --bind "$file" "/proc/sys/${setting%=*}"
    done
}

# Pods of a node that has no route yet must not be looked for beyond the machine.
fence_the_pod_network() {
    ip route replace blackhole "$POD_NETWORK"
    iptables -t nat -A POSTROUTING -s "$POD_NETWORK" ! -d "$POD_NETWORK" -j MASQUERADE
}

configure_pod_network() {
    mkdir -p /run/slipway/cni
    cat >/run/slipway/cni/10-pods.conflist <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/slipway/addresses",
            "ranges": [[{"subnet": "$POD_SUBNET"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

configure_registry() {
    mkdir -p "/run/slipway/registries/$REGISTRY"
    cat >"/run/slipway/registries/$REGISTRY/hosts.toml" <<TOML
server = "$REGISTRY_ENDPOINT"
[host."$REGISTRY_ENDPOINT"]
  capabilities = ["pull", "resolve"]
TOML
}

# keep NAME COMMAND...: runs it in the background, its output in a log, and again whenever it ends.
keep() {
    local name=$1
    shift
    while true; do
        local status=0
        "$@" >>"$LOGS/$name.log" 2>&1 </dev/null || status=$?
        say "$name ended with status $status; starting it again"
        sleep 1
    done &
}

keep_logs_small() {
    while true; do
        sleep 10
        trim-logs "$LOGS" 10000000
    done &
}

# A node's address may change whenever it restarts.
keep_routes() {
    declare -A known
    while true; do
        for peer in $PEERS; do
            local name=${peer%=*} address
            address=$(getent ahostsv4 "$name" | awk 'NR == 1 { print $1 }') || continue
            if [ -n "$address" ] && [ "$address" != "${known[$name]:-}" ]; then
                ip route replace "${peer#*=}" via "$address"
                known[$name]=$address
                say "pods of $name are at $address"
            fi
        done
        sleep 1
    done &
}

start_control_plane() {
    keep etcd kube etcd --data-dir "$DATA/etcd" --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
    keep kube-apiserver kube kube-apiserver --etcd-servers http://127.0.0.1:2379 \
        --secure-port 6443 --allow-privileged --service-cluster-ip-range "$SERVICE_NETWORK" \
        --client-ca-file /etc/kubernetes/ca.crt \
        --tls-cert-file /etc/kubernetes/apiserver.crt --tls-private-key-file /etc/kubernetes/apiserver.key \
        --kubelet-certificate-authority /etc/kubernetes/ca.crt --kubelet-preferred-address-types Hostname \
        --kubelet-client-certificate /etc/kubernetes/apiserver-kubelet.crt \
        --kubelet-client-key /etc/kubernetes/apiserver-kubelet.key \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file /etc/kubernetes/service-accounts.crt \
        --service-account-signing-key-file /etc/kubernetes/service-accounts.key \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --default-not-ready-toleration-seconds 10 --default-unreachable-toleration-seconds 10 \
        --feature-gates ImageVolume=true # without it, no policy sees a pod's image volumes
    keep kube-controller-manager kube kube-controller-manager \
        --kubeconfig /etc/kubernetes/controller-manager.kubeconfig --leader-elect=false \
        --service-account-private-key-file /etc/kubernetes/service-accounts.key \
        --root-ca-file /etc/kubernetes/ca.crt --use-service-account-credentials \
        --authentication-skip-lookup --cert-dir /run/slipway/controller-manager \
        --node-monitor-period 1s --node-monitor-grace-period 6s
    keep kube-scheduler kube kube-scheduler \
        --kubeconfig /etc/kubernetes/scheduler.kubeconfig --leader-elect=false \
        --authentication-skip-lookup --cert-dir /run/slipway/scheduler
}

start_node() {
    keep containerd containerd --config /etc/slipway/containerd.toml
    until ctr version >/dev/null 2>&1; do sleep 0.1; done
    ctr --namespace k8s.io images import /opt/slipway/pause.tar >/dev/null
    keep kubelet kube kubelet --config /etc/slipway/kubelet.yaml \
        --kubeconfig /etc/kubernetes/kubelet.kubeconfig --hostname-override "$(hostname)"
    keep kube-proxy kube kube-proxy --kubeconfig /etc/kubernetes/proxy.kubeconfig \
        --hostname-override "$(hostname)" --proxy-mode iptables --cluster-cidr "$POD_NETWORK" \
        --iptables-min-sync-period 100ms --conntrack-max-per-core 0
}

trap 'say "stopping"; exit 0' TERM
mkdir -p "$DATA" "$LOGS"
open_the_container_up
pretend_kernel_settings
fence_the_pod_network
configure_pod_network
configure_registry
if [ "$ROLE" = control-plane ]; then start_control_plane; fi
start_node
keep_routes
keep_logs_small
say "started as $ROLE"
wait
