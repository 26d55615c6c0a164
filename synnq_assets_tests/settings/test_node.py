import pytest

from synnq_assets.settings.node import VisibleDevices, read_visible_devices


@pytest.mark.parametrize(
    ("environment", "visible"),
    [
        ({}, VisibleDevices()),
        ({"CUDA_VISIBLE_DEVICES": ""}, VisibleDevices(cuda=(), hip=())),
        (
            {"CUDA_VISIBLE_DEVICES": "0, GPU-5a,"},
            VisibleDevices(cuda=("0", "GPU-5a"), hip=("0", "GPU-5a")),
        ),
        (
            {
                "CUDA_VISIBLE_DEVICES": "3",
                "ROCR_VISIBLE_DEVICES": "4,5",
                "HIP_VISIBLE_DEVICES": "1",
            },
            VisibleDevices(cuda=("3",), rocr=("4", "5"), hip=("1",)),
        ),
    ],
)
def test_visible_devices_are_what_the_drivers_variables_say(environment, visible):
    assert read_visible_devices(environment) == visible
