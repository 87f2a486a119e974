"""Networks: what there is, who has which address on them, and the network namespaces of containers."""
