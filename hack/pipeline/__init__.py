"""What `make` runs beyond one command: the virtual environment, Debian packages, the chart, and all tests in one go.

Standard library only: it runs before anything is installed.
"""
