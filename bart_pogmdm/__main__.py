"""`python -m bart_pogmdm`."""

import sys

from .cli import main

sys.exit(main())
