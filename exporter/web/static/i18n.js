// The words of the page, in English and Korean.

const EN = {
  skip: "Skip to content", counts: "Servers by status", search: "Search  /", searchLabel: "Search servers",
  control: "Break something", language: "한국어로 보기", theme: "Change the theme", keys: "Keyboard shortcuts",
  healthy: "healthy", warning: "warning", critical: "critical", down: "down", firing: "firing", pending: "pending", resolved: "resolved", over: "over",
  live: "Live", age: "{0} ago", reconnecting: "Reconnecting", inSeconds: "in {0} s", connecting: "Connecting…", polling: "Polling", stale: "Stale since {0}",
  servers: "Servers", server: "Server", role: "Role", environment: "Environment", status: "Status", cpu: "CPU", memory: "Memory", disk: "Disk",
  latency: "Latency", anomaly: "Anomaly", trend: "CPU, 15 min", requests: "Requests/s", p99: "p99", response: "Response", uptime: "Uptime", alerts: "Alerts",
  network: "Network in / out", network_in: "Network in", network_out: "Network out", failed: "Errors", lost: "Lost packets", memory_growth: "Memory growth", disk_growth: "Disk growth", maintenance: "maintenance until {0}",
  map: "Fleet", mapRole: "fleet map", mapLabel: "{0} servers by {1}. The arrow keys move, Enter opens a server.", groupBy: "Group by", fillBy: "Colour by", scale: "Scale of the colours",
  sums: "average CPU {0} · memory {1}", shown: "{0} of {1}", omitted: "(those that need attention most)", inState: "in this state for",
  none_firing: "No alert fires.", none_pending: "No alert is pending.", none_resolved: "No alert was resolved in the last hour.",
  alerterAway: "The alerter does not answer; its alerts are unknown.", since: "for {0}",
  silence: "Silence", silenceLabel: "Silence {0} {1}", forHow: "for", silenced: "silenced until {0}", unsilence: "End silence", silenceComment: "from the dashboard",
  analysis: "Analysis", noIncidents: "No incident. {0} series watched.", noAnalysis: "The first analysis is still to come.", confidence: "{0}% sure",
  incident: "incident", chain: "Chain of causes", evidence: "Evidence ({0})", metric: "Metric", value: "Value", expected: "Expected", score: "Score", from: "From",
  forecast: "forecast", filesFull: "{0} full in {1}", truth: "Truth", truthTitle: "Show what was really simulated",
  wasSimulated: "simulated: {0} on {1}", notSimulated: "Nothing of the kind was simulated.", simulatedOnly: "simulated", notFoundYet: "not found yet", notFound: "not found",
  noMatch: "No server matches.", showAll: "Show all", noServers: "There are no servers yet.", loading: "Loading…", loadFailed: "Could not load: {0}", retry: "Try again",
  back: "All servers", unknownServer: "There is no server {0}.", min: "min", avg: "avg", max: "max", last: "last", copy: "Copy",
  noSamples: "No samples in this range.", load: "Load average", memoryUse: "Memory", disks: "Disk usage and where it is going", diskIo: "Disk I/O",
  requestRate: "Requests/s by status", errorRatio: "Errors (5xx) of all requests", cores: "CPU by core", networkIo: "Network", services: "Services",
  rangeLabel: "Range of the charts", unzoom: "Back to the whole range", now: "Now", facts: "Facts", health: "Health score", cpus: "Cores", booted: "Booted", labels: "Labels", notes: "Notes",
  breakTitle: "Break something on purpose", failure: "Failure", targets: "Servers", duration: "Duration", intensity: "Intensity",
  inject: "Inject", activeFailures: "Going on now", nothingBroken: "Nothing is broken on purpose.", clear: "Clear", ends: "ends in {0}", starts: "starts in {0}", andThen: "and then {0}", close: "Close",
  token: "Token", tokenNeeded: "Token needed", tokenAsked: "This exporter wants to know who asks. A token lets you in.", use: "Use", targetsNone: "none ticked: where it usually begins", newCritical: "New critical alert",
  away: "The exporter does not answer.", old: "No new samples for more than two ticks: what you see is old.", partial: "{0} of {1} servers say nothing.", allSilent: "No server says anything.", show: "Show",
  k_search: "search", k_move: "next, previous server", k_map: "move on the fleet map", k_open: "open the server", k_back: "back", k_range: "range of the charts", k_theme: "theme", k_help: "this help",
};
const KO = {
  skip: "본문으로 건너뛰기", counts: "상태별 서버", search: "검색  /", searchLabel: "서버 검색",
  control: "장애 주입", language: "View in English", theme: "테마 바꾸기", keys: "단축키",
  healthy: "정상", warning: "경고", critical: "위험", down: "중단", firing: "발생", pending: "대기", resolved: "해소", over: "종료",
  live: "실시간", age: "{0} 전", reconnecting: "재연결", inSeconds: "{0}초 후", connecting: "연결 중…", polling: "폴링", stale: "{0}부터 갱신 없음",
  servers: "서버", server: "서버", role: "역할", environment: "환경", status: "상태", cpu: "CPU", memory: "메모리", disk: "디스크",
  latency: "지연 시간", anomaly: "이상 점수", trend: "CPU, 15분", requests: "요청/초", p99: "p99", response: "응답", uptime: "가동 시간", alerts: "알림",
  network: "네트워크 수신 / 송신", network_in: "네트워크 수신", network_out: "네트워크 송신", failed: "오류", lost: "패킷 손실", memory_growth: "메모리 증가", disk_growth: "디스크 증가", maintenance: "{0}까지 점검",
  map: "서버 지도", mapRole: "서버 지도", mapLabel: "서버 {0}대, 색은 {1}. 화살표로 이동하고 Enter로 엽니다.", groupBy: "묶기", fillBy: "색", scale: "색 눈금",
  sums: "평균 CPU {0} · 메모리 {1}", shown: "{1}대 중 {0}대", omitted: "(주의가 필요한 순)", inState: "현재 상태 지속",
  none_firing: "발생한 알림이 없습니다.", none_pending: "대기 중인 알림이 없습니다.", none_resolved: "지난 한 시간 동안 해소된 알림이 없습니다.",
  alerterAway: "알리미가 응답하지 않아 알림을 알 수 없습니다.", since: "{0} 동안",
  silence: "음소거", silenceLabel: "{0} {1} 음소거", forHow: "기간", silenced: "{0}까지 음소거", unsilence: "음소거 해제", silenceComment: "대시보드에서",
  analysis: "분석", noIncidents: "인시던트 없음. 시계열 {0}개 감시 중.", noAnalysis: "첫 분석을 기다리는 중입니다.", confidence: "확신 {0}%",
  incident: "인시던트", chain: "원인 사슬", evidence: "근거 ({0})", metric: "지표", value: "값", expected: "예상", score: "점수", from: "시작",
  forecast: "예측", filesFull: "{0} {1} 후 가득 참", truth: "정답", truthTitle: "실제로 시뮬레이션된 장애 보기",
  wasSimulated: "시뮬레이션: {1}의 {0}", notSimulated: "해당하는 시뮬레이션이 없습니다.", simulatedOnly: "시뮬레이션", notFoundYet: "아직 찾지 못함", notFound: "찾지 못함",
  noMatch: "일치하는 서버가 없습니다.", showAll: "모두 보기", noServers: "아직 서버가 없습니다.", loading: "불러오는 중…", loadFailed: "불러오지 못했습니다: {0}", retry: "다시 시도",
  back: "전체 서버", unknownServer: "{0} 서버가 없습니다.", min: "최소", avg: "평균", max: "최대", last: "최근", copy: "복사",
  noSamples: "이 구간에 데이터가 없습니다.", load: "로드 평균", memoryUse: "메모리", disks: "디스크 사용률과 예측", diskIo: "디스크 I/O",
  requestRate: "상태별 요청/초", errorRatio: "전체 요청 중 오류(5xx)", cores: "코어별 CPU", networkIo: "네트워크", services: "서비스",
  rangeLabel: "차트 구간", unzoom: "전체 구간으로", now: "현재", facts: "정보", health: "건강 점수", cpus: "코어", booted: "부팅", labels: "레이블", notes: "메모",
  breakTitle: "일부러 장애 일으키기", failure: "장애", targets: "서버", duration: "지속 시간", intensity: "강도",
  inject: "주입", activeFailures: "진행 중", nothingBroken: "주입된 장애가 없습니다.", clear: "해제", ends: "{0} 후 종료", starts: "{0} 후 시작", andThen: "이후 {0}", close: "닫기",
  token: "토큰", tokenNeeded: "토큰 필요", tokenAsked: "이 익스포터는 사용자를 확인합니다. 토큰을 입력하세요.", use: "사용", targetsNone: "선택하지 않으면 보통 시작되는 곳", newCritical: "새 위험 알림",
  away: "익스포터가 응답하지 않습니다.", old: "두 주기 넘게 새 데이터가 없습니다. 보이는 값은 오래된 것입니다.", partial: "서버 {1}대 중 {0}대가 응답하지 않습니다.", allSilent: "응답하는 서버가 없습니다.", show: "보기",
  k_search: "검색", k_move: "다음, 이전 서버", k_map: "서버 지도에서 이동", k_open: "서버 열기", k_back: "뒤로", k_range: "차트 구간", k_theme: "테마", k_help: "도움말",
};

const saved = localStorage.getItem("language");
export let language = saved ?? (navigator.language.startsWith("ko") ? "ko" : "en");

/** The words for a key, with {0}, {1} filled in. */
export const t = (key, ...values) => ((language === "ko" ? KO : EN)[key] ?? key).replace(/\{(\d)\}/g, (_, i) => values[i]);

export function setLanguage(to) {
  language = to;
  localStorage.setItem("language", to);
}

/** Puts the present language into what is marked with data-t, data-t-label, data-t-placeholder. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of root.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
}
