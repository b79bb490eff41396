"""What a person who may push a branch gets: the trust of that branch alone, no file beside the build context,
no terminal, no page.
"""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.core.build import test_results
from flows.core.build.capsule import Capsule
from flows.core.build.latest import TICK, UNKNOWN_TIME
from flows.core.build.test_results import Case, Passed, TestResults, TestsFailed
from flows.core.build.trust import Trust
from flows.core.errors import PermanentError
from flows.core.markdown import plain
from flows.core.trigger.trigger import Invalid, Rules, Wanted, github
from flows.services.git.repository import Repository
from flows.services.images.container_output import end_of
from flows.services.images.test_cache import TestCache, key_of
from flows.services.models import blob_providers
from flows.services.process.command import silent
from tests.security.harmful_trees import WAYS, harmful
from tests.support.a_pointer import POINTER
from tests.support.laid_out import contents, lay_out
from tests.support.origin import Origin

DELIVERIES = Path(__file__).parent.parent / "deliveries"
RULES = Rules("github.com/codertocat/hello-world", ("*",), "master")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def repository(origin: Origin, tmp_path: Path) -> Repository:
    return Repository(str(origin.folder), tmp_path / "cache")


TODAY, DAY = POINTER.content.committed, timedelta(days=1)
NEWER = replace(POINTER, content=replace(POINTER.content, commit="b" * 40, capsule="d" * 64))

KEY, SECRET = "a" * 64, "s3cret-of-the-workers"
PASSED = Passed(TestResults((Case("t.a", 0.1),), skipped=0), "run-1", datetime(2026, 11, 24, tzinfo=UTC))
KEPT = PASSED.to_bytes(KEY, SECRET)
PRINTED = '<testsuite><testcase name="a" time="1"/><system-out>{}</system-out></testsuite>'

ATTRIBUTES = {
    "export-ignore": "app/guard.py export-ignore\n",
    "export-subst": "app/serve.py export-subst\n",
    "eol": "* text eol=crlf\n",
    "ident": "* ident\n",
    "encoding": "*.py working-tree-encoding=UTF-16\n",
    "filter": "* filter=harm\n",
}


class TestHostileBranch:
    @pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
    def test_attributes_and_filters_change_nothing_of_what_is_laid_out(
        self,
        origin: Origin,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        attributes: str,
    ) -> None:
        user = tmp_path / "gitconfig"
        user.write_text('[filter "harm"]\n\tsmudge = echo harm\n\tclean = cat\n[core]\n\tautocrlf = true\n')
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
        origin.commit("app/guard.py", "guard\n")
        before = origin.commit("app/serve.py", "# $Format:%b$ $Id$\n")
        (tmp_path / "attributes").write_text(attributes)
        blob = origin.git("hash-object", "-w", "--no-filters", str(tmp_path / "attributes"))
        origin.git("update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
        origin.git("commit", "--quiet", "--message", "attributes")
        after = origin.git("rev-parse", "HEAD")
        assert origin.git("rev-parse", f"{before}:app") == origin.git("rev-parse", f"{after}:app")
        first = lay_out(repository, before, ("app",), tmp_path / "before")
        second = lay_out(repository, after, ("app",), tmp_path / "after")
        assert contents(first) == contents(second)
        assert contents(first)["app/serve.py"] == b"# $Format:%b$ $Id$\n"

    @pytest.mark.parametrize("way", WAYS)
    def test_a_harmful_tree_is_not_fetched(self, origin: Origin, repository: Repository, way: str) -> None:
        harmful(origin, way)
        with pytest.raises(PermanentError, match="git's own check refuses"):
            repository.fetch(silent)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_harmful_tree_that_is_there_already_is_not_laid_out(
        self, origin: Origin, repository: Repository, tmp_path: Path, way: str
    ) -> None:
        """As in a mirror of before git checked what it fetched."""
        sha = harmful(origin, way)
        shutil.copytree(origin.folder / ".git", repository.mirror)
        folder = tmp_path / "a" / "context"
        folder.mkdir(parents=True)
        with pytest.raises(PermanentError, match="tree is malformed at"):
            repository.lay_out(repository.files(sha, ("app",)), folder, datetime.now(UTC))
        assert [path.name for path in tmp_path.rglob("pwned")] == []
        assert not (tmp_path / "outside").exists()

    @pytest.mark.parametrize("since", ["--output={file}", "--all"])
    def test_what_looks_like_an_option_is_none(
        self, origin: Origin, repository: Repository, tmp_path: Path, since: str
    ) -> None:
        sha = origin.commit("a", "1")
        repository.fetch(silent)
        given = since.format(file=tmp_path / "written")
        assert repository.between(given, sha) is None
        assert not repository.is_ancestor(given, sha)
        assert list(tmp_path.glob("written*")) == []

    def test_its_authors_control_characters_are_taken_out(
        self, origin: Origin, repository: Repository
    ) -> None:
        first = origin.commit("a", "1")
        origin.git("config", "user.name", "Ada\x1b[31m")
        second = origin.commit("a", "2", "fix\x1b[2J\u202e\u2028abcdef0 reviewed\rand more")
        repository.fetch(silent)
        commit = repository.resolve("main", "main")
        assert (commit.author, commit.subject) == ("Ada", "fix abcdef0 reviewed and more")
        assert repository.between(first, second) == [f"{second[:7]} fix abcdef0 reviewed and more (Ada)"]

    def test_a_name_with_a_line_separator_is_not_taken_for_the_released_branch(
        self, origin: Origin, repository: Repository
    ) -> None:
        released = origin.commit("a", "1")
        name = "x\u2028main"
        origin.git("switch", "--quiet", "--create", name)
        other = origin.commit("a", "2")
        assert repository.heads() == {"main": released, name: other}
        repository.fetch(silent)
        assert repository.resolve(other, "main").branch == name

    @pytest.mark.parametrize(
        "name",
        [
            *("a\x00b", "a\nb", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a[b", "a\\b", "a@{1}"),
            *("", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\x7f", "-a"),
        ],
    )
    def test_a_name_that_git_refuses_is_not_built(self, name: str) -> None:
        """git-check-ref-format(1)."""
        assert isinstance(github("push", pushed(name), RULES), Invalid)

    @pytest.mark.parametrize("name", ["master", "feature/a-b_c", "ünï", "a.b", "a@b", "x\u2028main"])
    def test_a_name_that_git_takes_is_built(self, name: str) -> None:
        found = github("push", pushed(name), RULES)
        assert isinstance(found, Wanted)
        assert found.branch == name

    def test_its_tests_names_and_messages_are_plain_text(self) -> None:
        report = (
            '<testsuites><testsuite><testcase classname="c" name="[sign in](https://evil.example)&#10;## x">'
            '<failure message="&#155;2J![x](y)"/></testcase></testsuite></testsuites>'
        )
        (case,) = test_results.parse(report.encode()).cases
        assert case.name == "c.[sign in](https://evil.example) ## x"
        assert case.failure == "![x](y)"
        assert plain(case.name) == "c.\\[sign in\\]\\(https\\://evil.example) ## x"

    @pytest.mark.parametrize(
        ("current", "own", "expected"),
        [
            (TODAY, TODAY + DAY, TODAY + DAY),
            (TODAY + DAY, TODAY, TODAY + DAY + TICK),
            (UNKNOWN_TIME, TODAY, TODAY),
        ],
        ids=["a clock that is right", "a clock that was ahead", "a pointer without a time"],
    )
    def test_times_only_rise_along_the_branch(
        self, current: datetime, own: datetime, expected: datetime
    ) -> None:
        before = replace(POINTER, content=replace(POINTER.content, committed=current))
        after = replace(NEWER, content=replace(NEWER.content, committed=own))
        assert after.following(before).content.committed == expected

    @pytest.mark.parametrize(
        ("kept", "key", "secret"),
        [
            (KEPT, "b" * 64, SECRET),
            (KEPT, f"branch-{KEY}", SECRET),
            (PASSED.to_bytes(f"branch-{KEY}", SECRET), KEY, SECRET),
            (KEPT, KEY, "of other workers"),
            (PASSED.to_bytes(KEY, ""), KEY, SECRET),
            (KEPT.replace(b"run-1", b"run-2"), KEY, SECRET),
            (json.dumps({"passed": json.loads(KEPT)["passed"], "hmac-sha256": ""}).encode(), KEY, SECRET),
            (json.loads(KEPT)["passed"].encode(), KEY, SECRET),
        ],
        ids=[
            "of other code",
            "the released branch's for a branch's key",
            "a branch's for the released branch's key",
            "with another secret",
            "with no secret",
            "changed",
            "without its authenticator",
            "as versions before kept it",
        ],
    )
    def test_a_pass_that_the_workers_did_not_write_for_this_code_counts_for_nothing(
        self, kept: bytes, key: str, secret: str
    ) -> None:
        assert Passed.from_bytes(kept, key, secret) is None

    def test_a_pass_that_was_copied_to_another_key_counts_for_nothing(self, tmp_path: Path) -> None:
        folder = blob_providers.folder(tmp_path)
        passed, capsule = TestCache(folder), Capsule("c" * 64, KEY)
        branch, released = (key_of(capsule, trust) for trust in (Trust.BRANCH, Trust.RELEASED))
        passed.keep(branch, PASSED, SECRET)
        content = folder.read(f"tests/branch-{KEY}.json")
        assert content
        folder.replace(f"tests/{KEY}.json", content)
        assert passed.find(branch, SECRET) == PASSED
        assert passed.find(released, SECRET) is None
        assert passed.find(branch, "of other workers") is None

    @pytest.mark.parametrize(
        ("report", "remedy"),
        [
            ('<testsuite><testcase name="a" time="x"/></testsuite>', "Have the tests write JUnit XML"),
            ('<testsuite><testcase name="a" time="nan"/></testsuite>', "Have the tests write JUnit XML"),
            ('<testsuite><testcase name="a" time="1e999"/></testsuite>', "Have the tests write JUnit XML"),
            ("<html/>", "Have the tests write JUnit XML"),
            (
                '<?xml version="1.0" encoding="klingon"?><testsuite><testcase name="a"/></testsuite>',
                "Have the tests write JUnit XML",
            ),
            (
                '<?xml version="1.0" encoding="zip"?><testsuite><testcase name="a"/></testsuite>',
                "Have the tests write JUnit XML",
            ),
            ("", "Read the test stage's log"),
            ("<testsuite><testcase", "Read the test stage's log"),
        ],
    )
    def test_what_is_no_report_is_an_error_with_what_to_do(self, report: str, remedy: str) -> None:
        with pytest.raises(TestsFailed, match=f"can't be read: .*{remedy}"):
            test_results.parse(report.encode())

    @pytest.mark.parametrize(
        "printed",
        [b"caf\xe9", b"&#27;[31mred", b"\x1b[31mred", b"&#x0;", b"&#x110000;", b"&#9999999999;", b"\x00"],
    )
    def test_what_a_test_printed_makes_no_report_unreadable(self, printed: bytes) -> None:
        report = PRINTED.encode().replace(b"{}", printed)
        assert test_results.parse(report) == TestResults((Case("a", 1.0),), skipped=0)

    def test_of_output_without_end_the_last_bytes_are_kept(self) -> None:
        assert end_of(iter([b"abc", b"", b"de"]), 4) == b"bcde"
        assert end_of(iter([]), 4) == b""


def pushed(branch: str) -> object:
    content = json.loads((DELIVERIES / "github-push.json").read_text())
    return content | {"ref": f"refs/heads/{branch}"}
