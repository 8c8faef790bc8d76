// The drawer in which servers are broken on purpose.

import { get, post, remove, token } from "./exporter.js";
import { t } from "./i18n.js";
import { attribute, button, duration, h, reconcile, text } from "./ui.js";

export class Control {
  #timer = null;
  #active = [];
  #asked = 0;

  constructor(dialog, opener, state) {
    this.dialog = dialog;
    this.opener = opener;
    this.state = state;
    opener.addEventListener("click", () => this.open());
    dialog.addEventListener("close", () => clearInterval(this.#timer));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** Shows the way in where anything is simulated. */
  allow({ simulated }) {
    this.opener.hidden = !simulated;
  }

  async open() {
    this.problem = h("p.error", { role: "alert" });
    this.list = h("ul.list");
    this.none = h("p.empty", t("nothingBroken"));
    this.form = h("form");
    this.dialog.replaceChildren(
      h("div.head", h("h2", { id: "control-title" }, t("breakTitle")), button("✕", () => this.dialog.close(), "icon", { "aria-label": t("close") })),
      this.form, h("section", h("h3", t("activeFailures")), this.none, this.list));
    this.dialog.showModal();
    await this.#refresh();
    if (this.types) this.#fields();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#count(), 1000);
  }

  #fields() {
    const { form } = this;
    const options = this.types.map(({ type }) => h("option", { value: type }, type));
    this.type = h("select", { name: "type", required: true, onchange: () => this.#describe() }, options);
    this.about = h("small");
    this.strength = h("output", "100%");
    this.tokenField = h("input", { type: "password", autocomplete: "off", value: token.get() });
    this.tokenLabel = h("label", { hidden: !this.state.control?.token_needed }, t("token"), this.tokenField);
    form.replaceChildren(
      h("label", t("failure"), this.type, this.about),
      this.#targets(),
      h("div.pair",
        h("label", t("duration"), h("input", { name: "duration", value: "5m", required: true, pattern: "([0-9]+(ms|s|m|h|d))+" })),
        h("label", h("span", t("intensity"), " ", this.strength), h("input", { name: "intensity", type: "range", min: 0.1, max: 1, step: 0.05, value: 1, oninput: ({ target }) => text(this.strength, `${Math.round(target.value * 100)}%`) }))),
      this.tokenLabel, this.problem, h("button.primary", t("inject")));
    form.onsubmit = (event) => this.#inject(event);
    this.#describe();
  }

  /** Every server as a box to tick, by role; the one that is looked at is ticked. */
  #targets() {
    const roles = new Map();
    for (const { id, role } of this.state.servers) roles.set(role, [...(roles.get(role) ?? []), id]);
    const box = (id) => h("label.box", h("input", { type: "checkbox", name: "targets", value: id, checked: id === this.state.view.server }), id);
    const group = ([role, ids]) => h("fieldset", h("legend", role || "–"), h("div", ids.map(box)));
    return h("fieldset.targets", h("legend", t("targets"), " ", h("small", t("targetsNone"))), h("div.boxes", { tabIndex: 0, role: "group", "aria-label": t("targets") }, [...roles].sort().map(group)));
  }

  #describe() {
    text(this.about, this.types.find(({ type }) => type === this.type.value)?.description ?? "");
  }

  async #inject(event) {
    event.preventDefault();
    const form = new FormData(this.form);
    const targets = form.getAll("targets");
    const wish = { type: form.get("type"), duration: form.get("duration"), intensity: Number(form.get("intensity")) };
    await this.#try(() => post("/api/scenarios", targets.length ? { ...wish, targets } : wish));
  }

  async #try(act) {
    if (this.tokenField?.value) token.set(this.tokenField.value);
    text(this.problem, "");
    try {
      await act();
      this.state.truthAsked = 0;
    } catch (error) {
      text(this.problem, error.message);
      if (error.status === 401 || error.status === 403) this.tokenLabel.hidden = false;
    }
    await this.#refresh();
  }

  async #refresh() {
    try {
      const { types, active } = await get("/api/scenarios");
      this.types = types;
      this.#active = active;
      this.#asked = Date.now();
    } catch (error) {
      this.form.replaceChildren(h("p.error", { role: "alert" }, t("loadFailed", error.message)), button(t("retry"), () => this.open()));
    }
    this.#show();
  }

  #count() {
    if (Date.now() - this.#asked > 5000) this.#refresh();
    else this.#show();
  }

  #show() {
    const now = Date.now() / 1000;
    const shown = this.#active.filter(({ end }) => !end || end > now);
    reconcile(this.list, shown, ({ id }) => id, (failure) => this.#line(failure), ({ parts }, failure) => {
      const { start, end } = failure;
      text(parts.left, start > now ? t("starts", duration(start - now)) : end ? t("ends", duration(end - now)) : "");
      parts.done.style.setProperty("--v", end ? `${Math.max(0, Math.min(100, ((now - start) / (end - start)) * 100))}%` : "100%");
    });
    attribute(this.none, "hidden", shown.length ? "" : null);
  }

  #line(failure) {
    const parts = { left: h("span.end"), done: h("i.done", { "aria-hidden": "true" }) };
    const clear = button(t("clear"), () => this.#try(() => remove(`/api/scenarios/${encodeURIComponent(failure.id)}`)), "small", { "aria-label": `${t("clear")}: ${failure.type ?? failure.scenario}` });
    const others = (failure.affected ?? []).map(({ server }) => server).filter((server) => !failure.targets.includes(server));
    const line = h("li", h("div.row", h("b", failure.type ?? failure.scenario), parts.left), parts.done,
      h("div.row", h("span.dim", failure.targets.join(", ") + (others.length ? ` ${t("andThen", others.join(", "))}` : "")), h("span.end", clear)));
    line.parts = parts;
    return line;
  }
}
