"""Hostile input, a class for each kind of attacker, without a platform; SECURITY.md says who may do what.

What else they could try is in the tests of what they would meet, in these folders of tests/:

a branch            services/images/test_test_stage.py, test_smoke_test.py: its containers
                    services/images/test_dockerfile.py: its build
                    stages/test_trust.py, core/build/test_latest.py: what counts for the released branch
                    services/git/test_repository.py: submodules, pointers of Git LFS, a context too large
                    services/kubernetes/test_own_files.py: its manifests
a model             services/models/test_blob_store.py, test_model_store.py: large objects, replaced content
a registry          triggers/test_poller.py: an error of ours does not end the watch
a pod               services/kubernetes/test_rights.py, test_pod_policy.py: its rights
                    services/verification/test_answers.py: scores that are no numbers
a user of the app   app/test_slow_clients.py, test_memory.py, test_problems.py
a webhook's sender  triggers/test_slow_senders.py, test_webhooks.py
a user of Prefect   local/test_work_pool.py, flows/test_context.py, services/kubernetes/test_kubeconfig.py
another local user  config/test_load.py, services/process/test_files.py, local/test_supervision.py
"""
