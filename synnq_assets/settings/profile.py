"""The site profile: where jobs run, on what, within which limits."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from synnq_assets.settings.base import SettingsModel


class LocalCompute(SettingsModel):
    """Jobs as detached processes on the coordinator's own machine."""

    kind: Literal["local"] = "local"
    threads_per_job: PositiveInt = 1


class SlurmCompute(SettingsModel):
    """Jobs through a Slurm scheduler, in containers."""

    kind: Literal["slurm"] = "slurm"
    login_host: str | None = None  # None: sbatch on this machine
    account: str | None = None  # project to bill; usually from SYNNQ_PROFILE__COMPUTE__ACCOUNT
    partition: str
    qos: str | None = None
    max_walltime_seconds: PositiveInt
    max_jobs: PositiveInt
    ranks_per_host: PositiveInt
    cpus_per_rank: PositiveInt
    gpus_per_host: PositiveInt
    memory_gib_per_rank: PositiveInt | None = None
    cpu_bind_masks: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    container_runtime: Literal["none", "apptainer", "singularity"] = "singularity"
    container_image: str | None = None
    container_binds: tuple[str, ...] = ()
    signal_seconds: PositiveInt = 300  # before the time limit, to checkpoint


class KubernetesCompute(SettingsModel):
    """Jobs as Kubernetes batch Jobs."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: str
    image: str
    gpu_resource: str = "nvidia.com/gpu"
    gpus_per_pod: PositiveInt = 1


Compute = Annotated[LocalCompute | SlurmCompute | KubernetesCompute, Field(discriminator="kind")]


class MachineFacts(SettingsModel):
    """Figures of one host, from the site's documentation."""

    accelerator: Literal["rocm", "cuda", "cpu"]
    accelerators_per_host: PositiveInt
    memory_gib_per_accelerator: PositiveFloat
    cores_per_host: PositiveInt
    power_watts_per_host: PositiveFloat  # at full training load
    thermal_limit_celsius: PositiveFloat = 90.0


class Accounting(SettingsModel):
    """How the site bills, and what its energy costs in CO2."""

    billing_units_per_host_hour: NonNegativeFloat
    billing_unit: str
    grams_co2_per_kwh: NonNegativeFloat


class StoragePaths(SettingsModel):
    """Where files live at the site; on the compute side."""

    work: str
    inbox: str


class SqliteAudit(SettingsModel):
    """The audit log in a file of the home: all writers on one host."""

    kind: Literal["sqlite"] = "sqlite"


class PostgresAudit(SettingsModel):
    """The audit log in PostgreSQL: writers on any host."""

    kind: Literal["postgres"] = "postgres"
    dsn: str  # for libpq, without a password: that comes from PGPASSFILE or a service file


Audit = Annotated[SqliteAudit | PostgresAudit, Field(discriminator="kind")]


class SiteProfile(SettingsModel):
    """One site."""

    name: str
    description: str
    compute: Compute
    machine: MachineFacts
    accounting: Accounting
    paths: StoragePaths
    audit: Audit = SqliteAudit()
