"""The command as `python -m bart_pogmdm`."""

import sys

from .commands.main import main

sys.exit(main())
