"""What must never be shown: read from the environment and from files, never from flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerter.config import Config
from alerter.config import SlackWebhook as SlackWebhookConfig
from exporter.settings import SettingsError, secret


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What must never be shown."""

    slack_webhook_url: str | None = None
    slack_bot_token: str | None = None
    datadog_api_key: str | None = None
    datadog_site: str | None = None
    webhook_url: str | None = None
    heartbeat_url: str | None = None
    slack_webhooks: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> tuple[str, ...]:
        """Those that no log line may hold."""
        return tuple(
            each
            for each in (self.slack_webhook_url, self.slack_bot_token, self.datadog_api_key, self.webhook_url)
            if each
        ) + tuple(self.slack_webhooks.values())


def read_secrets(environ: Mapping[str, str], config: Config | None = None) -> Secrets:
    """The secrets of the environment and of the files that it and the settings name. Raises SettingsError."""
    return Secrets(
        slack_webhook_url=secret("SLACK_WEBHOOK_URL", environ),
        slack_bot_token=secret("SLACK_BOT_TOKEN", environ),
        datadog_api_key=secret("DATADOG_API_KEY", environ) or secret("DD_API_KEY", environ),
        datadog_site=secret("DD_SITE", environ),
        webhook_url=secret("ALERT_WEBHOOK_URL", environ),
        heartbeat_url=secret("HEARTBEAT_URL", environ),
        slack_webhooks={} if config is None else _webhook_urls(environ, config.slack.webhooks),
    )


def _webhook_urls(environ: Mapping[str, str], webhooks: Mapping[str, SlackWebhookConfig]) -> dict[str, str]:
    found = {}
    for name, webhook in webhooks.items():
        place = f"slack.webhooks.{name}"
        in_file = {f"{place}_FILE": webhook.url_file}
        url = secret(webhook.url_env, environ) if webhook.url_env else secret(place, in_file)
        if url is None:
            raise SettingsError(f"{place}: {webhook.url_env}: not set")
        found[name] = url
    return found
