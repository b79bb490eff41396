# In a network of its own (unshare --net --mount): this machine forwards between a container and a cloud, which
# has the metadata address. Prints what the container and the machine reach before and after it is closed.
set -eu
ADDRESS=169.254.169.254
OTHER=10.99.2.2

mount --make-rprivate /
mount -t tmpfs none /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs none /run/netns; }
for name in container cloud; do
    ip netns add "$name"
    ip link add name "to-$name" type veth peer name eth0 netns "$name"
    ip -n "$name" link set lo up
done
ip link set lo up
ip addr add 10.99.1.1/24 dev to-container
ip addr add 10.99.2.1/24 dev to-cloud
ip link set to-container up
ip link set to-cloud up
ip -n container addr add 10.99.1.2/24 dev eth0
ip -n container link set eth0 up
ip -n container route add default via 10.99.1.1
ip -n cloud addr add "$OTHER/24" dev eth0
ip -n cloud link set eth0 up
ip -n cloud route add default via 10.99.2.1
ip -n cloud addr add "$ADDRESS/32" dev lo
ip route add "$ADDRESS/32" via "$OTHER"
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 1 >/proc/sys/net/ipv4/ip_forward
iptables -N DOCKER-USER # as the docker daemon does
iptables -A DOCKER-USER -j RETURN
iptables -I FORWARD -j DOCKER-USER

reach() { # WHO ADDRESS [PREFIX OF THE COMMAND ...]
    local who=$1 address=$2
    shift 2
    if "$@" "$PYTHON" -c "import socket; socket.create_connection(('$address', 80), 5)" 2>/dev/null; then
        echo "$who reaches $address"
    else
        echo "$who does not reach $address"
    fi
}

coproc ip netns exec cloud "$PYTHON" -u -c \
    'import socket; s = socket.create_server(("", 80)); print("listening"); exec("while True: s.accept()")'
read -r _ <&"${COPROC[0]}"
reach container "$ADDRESS" ip netns exec container
"$PYTHON" -c 'from deployments.local.docker import metadata; metadata.close(print); metadata.close(print)'
reach container "$ADDRESS" ip netns exec container
reach container "$OTHER" ip netns exec container
reach machine "$ADDRESS"
iptables -S DOCKER-USER
kill "$COPROC_PID"
