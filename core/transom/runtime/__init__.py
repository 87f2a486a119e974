"""What runs beside the daemon: the spawner, the shims, and the system calls that all of them make."""
