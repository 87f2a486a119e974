"""All commands at a glance: the grouped names and the short ones, and where each one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["COMMANDS", "GROUPS", "SECTIONS", "Entry", "other_names"]

_COMMON, _MANAGEMENT, _PLAIN, _PLUGINS = "Common Commands", "Management Commands", "Commands", "Commands of Plugins"
#: The sections of the help, in order; the last is for what plugins give.
SECTIONS = (_COMMON, _MANAGEMENT, _PLAIN, _PLUGINS)


class Entry(NamedTuple):
    """Where a command is, and its line in the help.

    `module` is empty for a group. `section` is empty for an alias, which is not listed.
    """

    module: str
    attribute: str
    help: str = ""
    section: str = _PLAIN

    def alias(self) -> Entry:
        """Return the same command under another name, which the help does not list."""
        return self._replace(section="")

    def common(self) -> Entry:
        """Return the same command among those that are listed first."""
        return self._replace(section=_COMMON)


_CONTAINER = {
    "attach": Entry(
        "attach", "attach", "Attach local standard input, output, and error streams to a running container"
    ),
    "commit": Entry("commit", "commit", "Create a new image from a container's changes"),
    "cp": Entry("cp", "cp", "Copy files/folders between a container and the local filesystem"),
    "create": Entry("run", "create", "Create a new container"),
    "diff": Entry("container_files", "diff", "Inspect changes to files or directories on a container's filesystem"),
    "exec": Entry("exec", "exec_", "Execute a command in a running container"),
    "export": Entry("container_files", "export", "Export a container's filesystem as a tar archive"),
    "inspect": Entry("inspection", "inspect_containers", "Display detailed information on one or more containers"),
    "kill": Entry("lifecycle", "kill", "Kill one or more running containers"),
    "logs": Entry("logs", "logs", "Fetch the logs of a container"),
    "ls": Entry("containers", "ps", "List containers"),
    "pause": Entry("lifecycle", "pause", "Pause all processes within one or more containers"),
    "port": Entry("top", "port", "List port mappings or a specific mapping for the container"),
    "prune": Entry("pruning", "prune_containers", "Remove all stopped containers"),
    "rename": Entry("changes", "rename", "Rename a container"),
    "restart": Entry("lifecycle", "restart", "Restart one or more containers"),
    "rm": Entry("lifecycle", "rm", "Remove one or more containers"),
    "run": Entry("run", "run", "Create and run a new container from an image"),
    "start": Entry("attach", "start", "Start one or more stopped containers"),
    "stats": Entry("stats", "stats", "Display a live stream of container(s) resource usage statistics"),
    "stop": Entry("lifecycle", "stop", "Stop one or more running containers"),
    "top": Entry("top", "top", "Display the running processes of a container"),
    "unpause": Entry("lifecycle", "unpause", "Unpause all processes within one or more containers"),
    "update": Entry("changes", "update", "Update configuration of one or more containers"),
    "wait": Entry("lifecycle", "wait", "Block until one or more containers stop, then print their exit codes"),
}
_DRIVER = {
    "compare": Entry("driver_compare", "compare", "Measure drivers beside each other, by workloads"),
    "inspect": Entry("drivers", "inspect", "Display all that is known about a driver"),
    "ls": Entry("drivers", "ls", "List drivers, and why those do not work that do not"),
}
_BUILDER = {
    "build": Entry("build", "build", "Build an image from a Dockerfile"),
    "prune": Entry("pruning", "prune_builds", "Remove build cache"),
}
_IMAGE = {
    "build": _BUILDER["build"],
    "history": Entry("history", "history", "Show the history of an image"),
    "import": Entry("importing", "import_", "Import the contents from a tarball to create a filesystem image"),
    "inspect": Entry("inspection", "inspect_images", "Display detailed information on one or more images"),
    "layers": Entry("image_layers", "layers", "Show what the layers of an image hold, and what they waste"),
    "load": Entry("loading", "load", "Load an image from a tar archive or STDIN"),
    "ls": Entry("images", "images", "List images"),
    "prune": Entry("pruning", "prune_images", "Remove unused images"),
    "pull": Entry("pull", "pull", "Download an image from a registry"),
    "push": Entry("push", "push", "Upload an image to a registry"),
    "rm": Entry("images", "rmi", "Remove one or more images"),
    "save": Entry("saving", "save", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    "tag": Entry("images", "tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
}
_SYSTEM = {
    "df": Entry("disk_usage", "df", "Show disk usage"),
    "events": Entry("events", "events", "Get real time events from the server"),
    "info": Entry("system", "info", "Display system-wide information"),
    "prune": Entry("pruning", "prune_system", "Remove unused data"),
}
_NETWORK = {
    "connect": Entry("networks", "connect", "Connect a container to a network"),
    "create": Entry("networks", "create", "Create a network"),
    "disconnect": Entry("networks", "disconnect", "Disconnect a container from a network"),
    "inspect": Entry("networks", "inspect", "Display detailed information on one or more networks"),
    "ls": Entry("networks", "ls", "List networks"),
    "prune": Entry("pruning", "prune_networks", "Remove all unused networks"),
    "rm": Entry("networks", "rm", "Remove one or more networks"),
}
_VOLUME = {
    "create": Entry("volumes", "create", "Create a volume"),
    "inspect": Entry("volumes", "inspect", "Display detailed information on one or more volumes"),
    "ls": Entry("volumes", "ls", "List volumes"),
    "prune": Entry("pruning", "prune_volumes", "Remove unused local volumes"),
    "rm": Entry("volumes", "rm", "Remove one or more volumes"),
}


def _with_aliases(commands: Mapping[str, Entry], **more: str) -> dict[str, Entry]:
    """Return the commands of a group with `list` and `remove`, and more names for commands that it has."""
    aliases = {"list": "ls", "remove": "rm", **more}
    return {**commands, **{name: commands[of].alias() for name, of in aliases.items() if of in commands}}


#: The commands of each group, by the group's name.
GROUPS: Mapping[str, Mapping[str, Entry]] = {
    "container": _with_aliases(_CONTAINER, ps="ls"),
    "driver": _with_aliases(_DRIVER),
    "image": _with_aliases(_IMAGE),
    "system": _SYSTEM,
    "network": _with_aliases(_NETWORK),
    "volume": _with_aliases(_VOLUME),
    "builder": _BUILDER,
}

#: The commands of `transom` itself.
COMMANDS: Mapping[str, Entry] = {
    "run": _CONTAINER["run"].common(),
    "exec": _CONTAINER["exec"].common(),
    "ps": _CONTAINER["ls"].common(),
    "build": _IMAGE["build"].common(),
    "pull": _IMAGE["pull"].common(),
    "push": _IMAGE["push"].common(),
    "images": _IMAGE["ls"].common(),
    "login": Entry("login", "login", "Authenticate to a registry", _COMMON),
    "logout": Entry("login", "logout", "Log out from a registry", _COMMON),
    "search": Entry("search", "search", "Search Docker Hub for images", _COMMON),
    "version": Entry("system", "version", "Show the Transom version information", _COMMON),
    "info": _SYSTEM["info"].common(),
    "builder": Entry("", "", "Manage builds", _MANAGEMENT),
    "container": Entry("", "", "Manage containers", _MANAGEMENT),
    "driver": Entry("", "", "Show drivers", _MANAGEMENT),
    "image": Entry("", "", "Manage images", _MANAGEMENT),
    "system": Entry("", "", "Manage Transom", _MANAGEMENT),
    "network": Entry("", "", "Manage networks", _MANAGEMENT),
    "volume": Entry("", "", "Manage volumes", _MANAGEMENT),
    "attach": _CONTAINER["attach"],
    "commit": _CONTAINER["commit"],
    "cp": _CONTAINER["cp"],
    "completion": Entry("completion", "completion", "Generate the completion script for a shell"),
    "create": _CONTAINER["create"],
    "daemon": Entry("daemon", "daemon", "Run the engine in the foreground"),
    "diff": _CONTAINER["diff"],
    "events": _SYSTEM["events"],
    "export": _CONTAINER["export"],
    "history": _IMAGE["history"],
    "import": _IMAGE["import"],
    "inspect": Entry("inspection", "inspect", "Return low-level information on Transom's objects"),
    "kill": _CONTAINER["kill"],
    "load": _IMAGE["load"],
    "logs": _CONTAINER["logs"],
    "pause": _CONTAINER["pause"],
    "port": _CONTAINER["port"],
    "rename": _CONTAINER["rename"],
    "restart": _CONTAINER["restart"],
    "rm": _CONTAINER["rm"],
    "rmi": _IMAGE["rm"],
    "save": _IMAGE["save"],
    "start": _CONTAINER["start"],
    "stats": _CONTAINER["stats"],
    "stop": _CONTAINER["stop"],
    "tag": _IMAGE["tag"],
    "top": _CONTAINER["top"],
    "unpause": _CONTAINER["unpause"],
    "update": _CONTAINER["update"],
    "wait": _CONTAINER["wait"],
    # What completion scripts call.
    "__complete": Entry("completion", "complete", section=""),
}


def other_names(path: str) -> list[str]:
    """Return all the paths of the command at one, `container rm` or `rm`, itself among them, the grouped ones first.

    Those in a second group come last.
    """
    group, _, name = path.rpartition(" ")
    entry = (GROUPS[group] if group else COMMANDS)[name]
    paths = [(f"{one} {each}", found) for one, commands in GROUPS.items() for each, found in commands.items()]
    place = (entry.module, entry.attribute)
    names = [one for one, found in [*paths, *COMMANDS.items()] if (found.module, found.attribute) == place]
    first = names[0].partition(" ")[0]
    return sorted(names, key=lambda one: " " in one and one.partition(" ")[0] != first)
