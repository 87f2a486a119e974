"""`python -m transom_cli`: how a command starts a daemon without knowing where its script is."""

import sys

from transom_cli.main import main

sys.exit(main())
