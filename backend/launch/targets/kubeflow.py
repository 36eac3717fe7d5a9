"""A TrainJob for Kubeflow Trainer, with checkpoints on a persistent volume claim."""

from __future__ import annotations

from backend import yaml_text
from backend.errors import UserError
from backend.launch.targets import script
from backend.launch.targets.spec import LaunchSpec

SUFFIX = ".trainjob.yaml"
CLIENT = "kubectl"
_RUNS = "/fttui-runs"
_GRACE_SECONDS = 300
"""From SIGTERM to SIGKILL: enough for a step and a checkpoint."""


def text(spec: LaunchSpec) -> str:
    """The manifest. Raises UserError for a model or data on this box: Kubernetes uploads nothing."""
    _refuse_uploads(spec)
    lines = [
        *script.head(
            spec,
            "Kubeflow: kubectl apply -f FILE",
            f"The claim {spec.storage} must be there: checkpoints and the result are kept on it.",
            *(["Kubernetes has no limit of money: the budget is not in here."] if spec.budget_usd else []),
        ),
        "apiVersion: trainer.kubeflow.org/v1alpha1",
        "kind: TrainJob",
        f"metadata: {yaml_text.value({'name': spec.name})}",
        "spec:",
        f"  runtimeRef: {yaml_text.value({'name': 'torch-distributed'})}",
        *([f"  activeDeadlineSeconds: {spec.seconds}"] if spec.seconds else []),
        "  trainer:",
        "    numNodes: 1",
        "    numProcPerNode: 1",
        *([f"    resourcesPerNode: {yaml_text.value(_gpus(spec))}"] if spec.gpus else []),
        f"    command: {yaml_text.value(['bash', '-c'])}",
        "    args:",
        f"      - {script.block(_escaped(_run(spec)), 8)}",
        f"  runtimePatches: {yaml_text.value([_patch(spec)])}",
    ]
    return "\n".join(lines) + "\n"


def _gpus(spec: LaunchSpec) -> dict[str, object]:
    return {"limits": {"nvidia.com/gpu": spec.gpus}, "requests": {"nvidia.com/gpu": spec.gpus}}


def _run(spec: LaunchSpec) -> list[str]:
    return [
        "set -eu",
        f'export FTTUI_HOME="{_RUNS}/{spec.name}"',
        *script.write_files(spec),
        *script.install(spec, "$FTTUI_HOME/venv"),
        f"exec {script.train(spec, None)}",
    ]


def _escaped(lines: list[str]) -> list[str]:
    """Kubernetes puts variables in place of $(NAME) in arguments; $$( stands for itself."""
    return [line.replace("$(", "$$(") for line in lines]


def _patch(spec: LaunchSpec) -> dict[str, object]:
    """The claim, mounted into the trainer's container, and time to write a checkpoint."""
    pod = {
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": [{"name": "fttui-runs", "persistentVolumeClaim": {"claimName": spec.storage}}],
        "containers": [{"name": "node", "volumeMounts": [{"name": "fttui-runs", "mountPath": _RUNS}]}],
    }
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    return {
        "manager": "fttui/launch",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }


def _refuse_uploads(spec: LaunchSpec) -> None:
    for upload in spec.uploads:
        role = upload.name.partition(".")[0]
        fix = f"put it on the claim {spec.storage} and say --{role}-there {_RUNS}/{upload.name}, or give a hub id"
        if role == "adapter":
            fix = "merge it into its model first (fttui export --to merged), and put that on the claim"
        elif role == "general_data":
            fix = "leave it empty: forgetting is then measured on the set that ships"
        raise UserError(f"the {role} {upload.local} is on this box, and Kubernetes uploads nothing; {fix}", role)


def submit(file: str, spec: LaunchSpec) -> list[str]:
    """The client's command."""
    return ["kubectl", "apply", "-f", file]
