"""python -m flink"""

from flink.cli import main

main(prog_name="python -m flink")
