// The words of the page, in English and Korean.

const EN = {
  skip: "Skip to content", counts: "Servers by status", search: "Search  /", searchLabel: "Search servers",
  control: "Break something", language: "한국어로 보기", theme: "Change the theme", keys: "Keyboard shortcuts",
  healthy: "healthy", warning: "warning", critical: "critical", down: "down", firing: "firing", pending: "pending",
  live: "live", age: "{0} ago", reconnecting: "reconnecting in {0} s", connecting: "connecting…", polling: "polling, {0}", stale: "stale since {0}",
  servers: "Servers", server: "Server", role: "Role", status: "Status", cpu: "CPU", memory: "Memory", disk: "Disk",
  trend: "CPU, 15 min", requests: "Requests/s", response: "Response", uptime: "Uptime", alerts: "Alerts", network: "Network in / out",
  avgCpu: "average CPU", avgMemory: "average memory", totalServers: "servers", activeAlerts: "alerts firing", map: "Fleet",
  noAlerts: "No alert is active.", alerterAway: "The alerter does not answer; its alerts are unknown.", analysis: "Analysis",
  noIncidents: "No incident. {0} series watched.", noAnalysis: "The first analysis is still to come.", confidence: "confidence {0}",
  noMatch: "No server matches.", loading: "Loading…", loadFailed: "Could not load: {0}", retry: "Try again", since: "for {0}",
  back: "All servers", unknownServer: "There is no server {0}.", environment: "Environment", query: "PromQL", min: "min", avg: "avg", max: "max", last: "last",
  noSamples: "No samples in this range.", load: "Load average", memoryUse: "Memory", disks: "Disk usage", diskIo: "Disk I/O", latency: "Response time",
  requestRate: "Requests by status", cores: "CPU by core", networkIo: "Network",
  breakTitle: "Break something on purpose", failure: "Failure", targets: "Servers", duration: "Duration", intensity: "Intensity",
  inject: "Inject", activeFailures: "Going on now", nothingBroken: "Nothing is broken on purpose.", clear: "Clear", ends: "ends in {0}", close: "Close",
  token: "Token", tokenNeeded: "This exporter asks for a token.", chooseServer: "Choose at least one server.", newCritical: "New critical alert",
  k_search: "search", k_move: "next, previous server", k_open: "open the server", k_back: "back", k_range: "range of the charts", k_theme: "theme", k_help: "this help", filesFull: "{0} full in {1}",
};
const KO = {
  skip: "본문으로 건너뛰기", counts: "상태별 서버", search: "검색  /", searchLabel: "서버 검색",
  control: "장애 주입", language: "View in English", theme: "테마 바꾸기", keys: "단축키",
  healthy: "정상", warning: "경고", critical: "위험", down: "중단", firing: "발생", pending: "대기",
  live: "실시간", age: "{0} 전", reconnecting: "{0}초 후 재연결", connecting: "연결 중…", polling: "폴링, {0}", stale: "{0}부터 갱신 없음",
  servers: "서버", server: "서버", role: "역할", status: "상태", cpu: "CPU", memory: "메모리", disk: "디스크",
  trend: "CPU, 15분", requests: "요청/초", response: "응답", uptime: "가동 시간", alerts: "알림", network: "네트워크 수신 / 송신",
  avgCpu: "평균 CPU", avgMemory: "평균 메모리", totalServers: "서버", activeAlerts: "발생한 알림", map: "서버 지도",
  noAlerts: "활성 알림이 없습니다.", alerterAway: "알리미가 응답하지 않아 알림을 알 수 없습니다.", analysis: "분석",
  noIncidents: "인시던트 없음. 시계열 {0}개 감시 중.", noAnalysis: "첫 분석을 기다리는 중입니다.", confidence: "신뢰도 {0}",
  noMatch: "일치하는 서버가 없습니다.", loading: "불러오는 중…", loadFailed: "불러오지 못했습니다: {0}", retry: "다시 시도", since: "{0} 동안",
  back: "전체 서버", unknownServer: "{0} 서버가 없습니다.", environment: "환경", query: "PromQL", min: "최소", avg: "평균", max: "최대", last: "최근",
  noSamples: "이 구간에 데이터가 없습니다.", load: "로드 평균", memoryUse: "메모리", disks: "디스크 사용률", diskIo: "디스크 I/O", latency: "응답 시간",
  requestRate: "상태별 요청", cores: "코어별 CPU", networkIo: "네트워크",
  breakTitle: "일부러 장애 일으키기", failure: "장애", targets: "서버", duration: "지속 시간", intensity: "강도",
  inject: "주입", activeFailures: "진행 중", nothingBroken: "주입된 장애가 없습니다.", clear: "해제", ends: "{0} 후 종료", close: "닫기",
  token: "토큰", tokenNeeded: "이 익스포터는 토큰이 필요합니다.", chooseServer: "서버를 하나 이상 고르세요.", newCritical: "새 위험 알림",
  k_search: "검색", k_move: "다음, 이전 서버", k_open: "서버 열기", k_back: "뒤로", k_range: "차트 구간", k_theme: "테마", k_help: "도움말", filesFull: "{0} {1} 후 가득 참",
};

const saved = localStorage.getItem("language");
export let language = saved ?? (navigator.language.startsWith("ko") ? "ko" : "en");

/** The words for a key, with {0}, {1} filled in. */
export const t = (key, ...values) =>
  ((language === "ko" ? KO : EN)[key] ?? key).replace(/\{(\d)\}/g, (_, i) => values[i]);

export function setLanguage(to) {
  language = to;
  localStorage.setItem("language", to);
  translate(document);
}

/** Puts the present language into what is marked with data-t, data-t-label, data-t-placeholder. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of root.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
}
