"""`python -m alerter` is `openmanager-alerter`."""

import sys

from alerter.cli import main

if __name__ == "__main__":
    sys.exit(main())
