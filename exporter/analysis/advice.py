"""What was found, why it may be and what to do about it, in English and Korean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.analysis.anomalies import Anomaly

Words = Mapping[str, str]
_Pair = tuple[str, str]

_NAMES: Mapping[str, _Pair] = {
    "cpu": ("CPU", "CPU"),
    "memory": ("memory", "메모리"),
    "disk": ("disk usage", "디스크 사용률"),
    "network_in": ("incoming traffic", "수신 트래픽"),
    "network_out": ("outgoing traffic", "송신 트래픽"),
    "response": ("response time", "응답 시간"),
    "requests": ("request rate", "요청 수"),
    "failed": ("failed requests", "실패한 요청"),
    "lost": ("lost packets", "손실 패킷"),
    "memory_growth": ("memory growth", "메모리 증가 속도"),
    "disk_growth": ("disk growth", "디스크 증가 속도"),
}
_STATES: Mapping[str, _Pair] = {
    "up": ("no samples", "수집된 데이터 없음"),
    "service": ("a service is down", "서비스 중단"),
    "restart": ("restarted", "재시작됨"),
}
_UNITS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("cpu", "memory", "disk", "failed"), lambda value: f"{value:.1f} %"),
    **dict.fromkeys(("network_in", "network_out"), lambda value: f"{value * 8 / 1e6:.1f} Mbit/s"),
    **dict.fromkeys(("requests", "lost"), lambda value: f"{value:.1f}/s"),
    **dict.fromkeys(("memory_growth", "disk_growth"), lambda value: f"{value:.1f} %/h"),
    "response": lambda value: f"{value * 1000:.0f} ms",
}
_UP: Mapping[str, _Pair] = {
    "cpu": (
        "Look for the busiest process; if requests rose too, add capacity, else suspect a runaway job or a neighbour.",
        "가장 바쁜 프로세스를 확인하세요. 요청도 늘었으면 용량을 늘리고, 아니면 폭주한 작업이나 이웃을 의심하세요.",
    ),
    "memory": (
        "Compare with the last deploy; growth without load points to a leak. Restart before it swaps.",
        "마지막 배포와 비교하세요. 부하 없이 늘면 누수입니다. 스왑이 시작되기 전에 재시작하세요.",
    ),
    "disk": (
        "Find what grows (logs, dumps, temporary files), remove or rotate it, then enlarge the disk.",
        "무엇이 늘어나는지(로그, 덤프, 임시 파일) 찾아 지우거나 순환시키고 디스크를 늘리세요.",
    ),
    "network_in": (
        "See who sends: a surge of users, a crawler or an attack. Limit rates at the balancer.",
        "누가 보내는지 확인하세요. 사용자 급증, 크롤러, 공격일 수 있습니다. 로드 밸런서에서 제한하세요.",
    ),
    "network_out": (
        "See where it goes: a backup, a cache that misses, or data leaving that should not.",
        "어디로 나가는지 확인하세요. 백업, 캐시 미스, 혹은 나가서는 안 될 데이터일 수 있습니다.",
    ),
    "response": (
        "Follow the slow requests to what they wait for: the database, the disk, or a full queue.",
        "느린 요청이 무엇을 기다리는지 따라가세요. 데이터베이스, 디스크, 가득 찬 큐일 수 있습니다.",
    ),
    "requests": (
        "Check whether the demand is real; if it is, add servers behind the balancer, else limit rates.",
        "수요가 진짜인지 확인하고, 진짜라면 로드 밸런서 뒤에 서버를 추가하고, 아니면 요청률을 제한하세요.",
    ),
    "failed": (
        "Read the error log of the service; compare with its last deploy and with what it depends on.",
        "서비스의 오류 로그를 읽고, 마지막 배포와 의존하는 서비스를 확인하세요.",
    ),
    "lost": (
        "Check the network card, its cable and the switch port; move the traffic to another interface.",
        "네트워크 카드, 케이블, 스위치 포트를 확인하고 트래픽을 다른 인터페이스로 옮기세요.",
    ),
    "up": (
        "The server is away or cut off: check its power, its network and its console.",
        "서버가 꺼졌거나 끊겼습니다. 전원, 네트워크, 콘솔을 확인하세요.",
    ),
    "service": (
        "Start the service again and read the last lines of its log for why it stopped.",
        "서비스를 다시 시작하고, 멈춘 이유를 로그의 마지막 줄에서 확인하세요.",
    ),
    "restart": (
        "Was it planned? If not, read the kernel's last messages for a panic or a lack of memory.",
        "계획된 재시작이 아니라면 커널의 마지막 메시지에서 패닉이나 메모리 부족을 확인하세요.",
    ),
}
_ALIKE = {"memory_growth": "memory", "disk_growth": "disk"}
_DOWN: _Pair = (
    "Less than usual: check whether the service runs and whether what sends it work still does.",
    "평소보다 적습니다. 서비스가 동작하는지, 일을 보내는 쪽이 살아 있는지 확인하세요.",
)


def _both(pair: _Pair) -> Words:
    return {"en": pair[0], "ko": pair[1]}


def title(server: str, metric: str, direction: str) -> Words:
    """`web-01: response time unusually high`."""
    if metric in _STATES:
        english, korean = _STATES[metric]
        return {"en": f"{server}: {english}", "ko": f"{server}: {korean}"}
    english, korean = _NAMES[metric]
    high = direction == "up"
    return {
        "en": f"{server}: {english} unusually {'high' if high else 'low'}",
        "ko": f"{server}: {korean} 이상 {'상승' if high else '하락'}",
    }


def recommendation(metric: str, direction: str) -> Words:
    """What to do about a measure that is too high or too low, or about a state."""
    metric = _ALIKE.get(metric, metric)
    return _both(_UP[metric] if direction == "up" or metric in _STATES else _DOWN)


def evidence(found: Anomaly) -> Words:
    """`web-01: CPU 97.0 %, expected 30.0 % to 55.0 %, since 10:02:15`."""
    since = datetime.fromtimestamp(found.since, UTC).strftime("%H:%M:%S")
    if found.metric in _STATES:
        english, korean = _STATES[found.metric]
        return {"en": f"{found.server}: {english}, since {since}", "ko": f"{found.server}: {korean}, {since}부터"}
    english, korean = _NAMES[found.metric]
    value, low, high = (_UNITS[found.metric](number) for number in (found.value, *found.expected))
    return {
        "en": f"{found.server}: {english} {value}, expected {low} to {high}, since {since}",
        "ko": f"{found.server}: {korean} {value}, 예상 {low} ~ {high}, {since}부터",
    }


@dataclass(frozen=True, slots=True)
class _Story:
    """A cause of some evidence: `fits` is given the root, and what is odd on its server as `metric direction`."""

    fits: Callable[[Anomaly, frozenset[str]], bool]
    why: _Pair


# The first that fits is told: from the special to the general.
_STORIES: Sequence[_Story] = (
    _Story(
        lambda root, here: root.metric == "up" or "restart up" in here,
        ("The server is down or cut off from the network.", "서버가 꺼졌거나 네트워크에서 끊겼습니다."),
    ),
    _Story(
        lambda root, here: "service down" in here,
        (
            "A service stopped; requests to it fail or do not arrive.",
            "서비스가 멈춰 요청이 실패하거나 도착하지 않습니다.",
        ),
    ),
    _Story(
        lambda root, here: "lost up" in here,
        (
            "Packets are lost on the way: a failing card, cable or port, or an overloaded interface.",
            "패킷이 손실됩니다. 카드, 케이블, 포트 고장이나 인터페이스 과부하일 수 있습니다.",
        ),
    ),
    _Story(
        lambda root, here: root.metric in ("disk", "disk_growth"),
        (
            "The disk fills up; who writes there will wait and then fail.",
            "디스크가 차고 있습니다. 곧 쓰기가 느려지고 실패합니다.",
        ),
    ),
    _Story(
        lambda root, here: root.metric in ("memory", "memory_growth") and "requests up" in here,
        ("Memory grows with the requests.", "요청과 함께 메모리가 늘고 있습니다."),
    ),
    _Story(
        lambda root, here: root.metric in ("memory", "memory_growth"),
        ("Memory grows without more requests: a leak.", "요청은 그대로인데 메모리가 늘어납니다. 누수로 보입니다."),
    ),
    _Story(
        lambda root, here: "requests up" in here and "failed up" in here,
        (
            "More requests come than can be answered: a flood, an attack or a retry storm.",
            "감당할 수 없는 요청이 들어옵니다. 폭주, 공격, 재시도 폭풍일 수 있습니다.",
        ),
    ),
    _Story(
        lambda root, here: "requests up" in here or "network_in up" in here,
        (
            "Demand rose; the server works harder because it is asked more.",
            "수요가 늘어 서버가 더 많이 일하고 있습니다.",
        ),
    ),
    _Story(
        lambda root, here: "cpu up" in here,
        (
            "CPU without more requests: a runaway process, or a noisy neighbour on the same host.",
            "요청은 그대로인데 CPU가 높습니다. 폭주한 프로세스나 같은 호스트의 이웃을 의심하세요.",
        ),
    ),
    _Story(
        lambda root, here: "response up" in here,
        (
            "It answers slowly without more requests: slow queries, a slow disk, or a lock.",
            "요청은 그대로인데 응답이 느립니다. 느린 쿼리, 느린 디스크, 잠금을 의심하세요.",
        ),
    ),
    _Story(
        lambda root, here: "failed up" in here,
        ("Requests fail that used to succeed.", "이전에는 성공하던 요청이 실패합니다."),
    ),
    _Story(
        lambda root, here: root.direction == "down",
        ("It is asked less, or does less, than usual.", "평소보다 요청이나 일이 적습니다."),
    ),
)
_UNKNOWN: _Pair = ("What is behind it is not known.", "원인은 알 수 없습니다.")


def cause(root: Anomaly, found: Sequence[Anomaly]) -> tuple[Words, Words]:
    """The suspected cause of an incident, and what to do about it. found: its evidence, the root among it."""
    here = frozenset(f"{odd.metric} {odd.direction}" for odd in found if odd.server == root.server)
    why = next((story.why for story in _STORIES if story.fits(root, here)), _UNKNOWN)
    return _both(why), recommendation(root.metric, root.direction)


def runs_out(metric: str, mount: str, hours: float) -> Words:
    """What to do about a disk or a memory that fills up. metric: the series' name."""
    if "memory" in metric:
        return {
            "en": f"Memory is full in {hours:.1f} h at this pace: find what grows, or restart it before then.",
            "ko": f"이 속도면 {hours:.1f}시간 뒤 메모리가 가득 찹니다. 늘어나는 것을 찾거나 그 전에 재시작하세요.",
        }
    return {
        "en": f"{mount} is full in {hours:.0f} h at this pace: free space or enlarge it before then.",
        "ko": f"이 속도면 {hours:.0f}시간 뒤 {mount}이(가) 가득 찹니다. 그 전에 비우거나 늘리세요.",
    }
