"""The load balancer and the DNS server."""
