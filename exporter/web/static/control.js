// The drawer in which servers are broken on purpose.

import { get, post, remove } from "./api.js";
import { h } from "./dom.js";
import { duration } from "./format.js";
import { t } from "./i18n.js";

export class Control {
  #timer = null;
  #tokenField = null;

  constructor(dialog, opener, state) {
    this.dialog = dialog;
    this.state = state;
    opener.addEventListener("click", () => this.open());
    dialog.addEventListener("close", () => clearInterval(this.#timer));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.#offer(opener);
  }

  async #offer(opener) {
    try {
      this.types = (await get("/api/scenarios")).types;
      opener.hidden = false;
    } catch {
      opener.hidden = true; // nothing is simulated here
    }
  }

  open() {
    const known = this.state.servers.map(({ id }) => id);
    this.form = h("form", { onsubmit: (event) => this.#inject(event) },
      h("label", t("failure"), (this.type = h("select", { name: "type", required: true, onchange: () => this.#describe() }, this.types.map(({ type }) => h("option", { value: type }, type)))), (this.about = h("small"))),
      h("label", t("targets"), h("select", { name: "targets", multiple: true, required: true }, known.map((id) => h("option", { value: id, selected: id === this.state.view.server }, id)))),
      h("div.pair",
        h("label", t("duration"), h("input", { name: "duration", value: "5m", required: true, pattern: "([0-9]+(d|h|m|s))+" })),
        h("label", t("intensity"), h("input", { name: "intensity", type: "number", min: 0.05, max: 1, step: 0.05, value: 1, required: true }))),
      this.#tokenLabel(),
      (this.problem = h("p.error", { role: "alert" })),
      h("button.primary", t("inject")));
    this.active = h("section");
    this.dialog.replaceChildren(
      h("div.head", h("h2", { id: "control-title" }, t("breakTitle")), h("button.plain.icon", { type: "button", "aria-label": t("close"), onclick: () => this.dialog.close() }, "✕")),
      this.form, this.active);
    this.#describe();
    this.dialog.showModal();
    this.#list();
    this.#timer = setInterval(() => this.#list(), 5000);
  }

  #describe() {
    this.about.textContent = this.types.find(({ type }) => type === this.type.value)?.description ?? "";
  }

  #tokenLabel() {
    this.#tokenField = h("input", { type: "password", autocomplete: "off", value: sessionStorage.getItem("token") ?? "" });
    return h("label", { hidden: !this.state.tokenNeeded }, t("token"), this.#tokenField);
  }

  async #inject(event) {
    event.preventDefault();
    const form = new FormData(this.form);
    const wish = { type: form.get("type"), targets: form.getAll("targets"), duration: form.get("duration"), intensity: Number(form.get("intensity")) };
    await this.#try(() => post("/api/scenarios", wish));
  }

  async #try(act) {
    if (this.#tokenField.value) sessionStorage.setItem("token", this.#tokenField.value);
    this.problem.textContent = "";
    try {
      await act();
    } catch (error) {
      this.problem.textContent = error.message;
      if (error.status === 401 || error.status === 403) this.#tokenField.parentElement.hidden = false;
    }
    this.#list();
  }

  async #list() {
    const { active } = await get("/api/scenarios").catch(() => ({ active: [] }));
    const left = (failure) => (failure.end ? t("ends", duration(failure.end - Date.now() / 1000)) : "");
    const line = (failure) => h("li",
      h("div.row", h("b", failure.type ?? failure.scenario), h("span.end", left(failure))),
      h("div.row", h("span.dim", failure.targets.join(", ")), h("span.end", h("button", { type: "button", onclick: () => this.#try(() => remove(`/api/scenarios/${encodeURIComponent(failure.id)}`)) }, t("clear")))));
    this.active.replaceChildren(h("h2", t("activeFailures")), active.length ? h("ul.list", active.map(line)) : h("p.dim", t("nothingBroken")));
  }
}
