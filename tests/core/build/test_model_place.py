"""A Dockerfile copies the model, or marks a place for it, and never both."""

import pytest

from flows.core.build.model_place import require_copy, require_one_way
from flows.core.errors import BuildFailed


@pytest.mark.parametrize(
    "line",
    [
        "COPY model /model",
        "COPY model/ /model/",
        "COPY model/model.onnx model/manifest.json /out/model/",
        "copy --chown=10001:10001 ./model /model",
        "ADD app /srv/app\nADD /model /model",
        'COPY ["model/model.onnx", "/model/"]',
        "COPY app \\\n    model \\\n    /srv/",
    ],
)
def test_a_line_that_copies_the_model_is_refused_where_slipway_does(line: str) -> None:
    with pytest.raises(BuildFailed, match=r"Dockerfile, line \d, copies model/") as refused:
        require_one_way(f"FROM base\n{line}\n", "Dockerfile", "/model")
    assert "Remove that line" in refused.value.remedy


@pytest.mark.parametrize(
    "line",
    [
        "COPY app /srv/app",
        "COPY models /models",
        "COPY --from=model-layer /out /",
        "COPY --from=0 model /model",
        "COPY app/model /srv/app/model",
        "# COPY model /model",
        "RUN cp -r model /model",
        "COPY . /srv",
        "COPY [broken",
        "COPY",
    ],
)
def test_other_lines_are_not(line: str) -> None:
    require_one_way(f"FROM base\n{line}\n", "Dockerfile", "/model")


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ('LABEL dev.slipway.model-path="/model"', True),
        ("label a=b \\\n  dev.slipway.model-path=/model", True),
        ("# LABEL dev.slipway.model-path=/model", False),
        ("LABEL dev.slipway.model-pathology=1", False),
        ("RUN echo dev.slipway.model-path", False),
    ],
)
def test_a_mark_is_refused_where_the_dockerfile_copies_the_model(line: str, *, refused: bool) -> None:
    text = f"FROM base\nCOPY model /model\n{line}\n"
    if not refused:
        require_copy(text, "Dockerfile")
        return
    with pytest.raises(BuildFailed, match="line 3, marks a place for the model") as failure:
        require_copy(text, "Dockerfile")
    assert "Set model_path" in failure.value.remedy


@pytest.mark.parametrize(
    ("lines", "copies"),
    [
        ("COPY model /model", True),
        ("COPY app /srv/app", False),
        ("COPY . /srv", True),
        ("COPY ./ /srv", True),
        ("COPY m* /srv/", True),
        ("COPY ${FILES} /srv/", True),
        ("RUN --mount=type=bind,source=model,target=/m cp -r /m /model", True),
        ("COPY --from=base /model /model", False),
        ("RUN wget https://example.org/model.onnx", False),
    ],
)
def test_a_dockerfile_that_goes_neither_way_is_refused(lines: str, *, copies: bool) -> None:
    text = f"FROM base\n{lines}\n"
    if copies:
        require_copy(text, "Dockerfile")
        return
    with pytest.raises(BuildFailed, match="Dockerfile copies no model, and") as failure:
        require_copy(text, "Dockerfile")
    assert "set model_path" in failure.value.remedy
