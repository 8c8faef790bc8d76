"""What an incident is called and what to do about it, in English and Korean."""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]

_MEASURES: Mapping[str, tuple[str, str]] = {
    "cpu": ("CPU", "CPU"),
    "memory": ("memory", "메모리"),
    "disk": ("disk usage", "디스크 사용률"),
    "network_in": ("incoming traffic", "수신 트래픽"),
    "network_out": ("outgoing traffic", "송신 트래픽"),
    "response": ("response time", "응답 시간"),
    "requests": ("request rate", "요청 수"),
}
_FACTS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "up": (
        ("no samples", "수집된 데이터 없음"),
        (
            "The server is away or cut off: check its power, its network and its console.",
            "서버가 꺼졌거나 끊겼습니다. 전원, 네트워크, 콘솔을 확인하세요.",
        ),
    ),
    "restart": (
        ("restarted", "재시작됨"),
        (
            "Was it planned? If not, read the kernel's last messages for a panic or a lack of memory.",
            "계획된 재시작이 아니라면 커널의 마지막 메시지에서 패닉이나 메모리 부족을 확인하세요.",
        ),
    ),
}
_UP: Mapping[str, tuple[str, str]] = {
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
        "Check whether the demand is real; if it is, add servers behind the balancer.",
        "수요가 진짜인지 확인하고, 진짜라면 로드 밸런서 뒤에 서버를 추가하세요.",
    ),
}
_DOWN = (
    "Less than usual: check whether the service runs and whether what sends it work still does.",
    "평소보다 적습니다. 서비스가 동작하는지, 일을 보내는 쪽이 살아 있는지 확인하세요.",
)


def _both(english: str, korean: str) -> Words:
    return {"en": english, "ko": korean}


def title(server: str, metric: str, direction: str) -> Words:
    """`web-01: response time unusually high`."""
    if metric in _FACTS:
        return _both(*(f"{server}: {text}" for text in _FACTS[metric][0]))
    english, korean = _MEASURES[metric]
    high = direction == "up"
    return _both(
        f"{server}: {english} unusually {'high' if high else 'low'}",
        f"{server}: {korean} 이상 {'상승' if high else '하락'}",
    )


def recommendation(metric: str, direction: str) -> Words:
    """What to do about a measure that is too high or too low."""
    if metric in _FACTS:
        return _both(*_FACTS[metric][1])
    return _both(*(_UP[metric] if direction == "up" else _DOWN))


def disk_full(mount: str, hours: float) -> Words:
    """What to do about a disk that fills up."""
    return _both(
        f"{mount} is full in {hours:.0f} h at this pace: free space or enlarge it before then.",
        f"이 속도면 {hours:.0f}시간 뒤 {mount}이(가) 가득 찹니다. 그 전에 비우거나 늘리세요.",
    )
