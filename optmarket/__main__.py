"""Run the command line as `python -m optmarket`, which is the same as the command `optmarket`."""

import sys

from optmarket.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
