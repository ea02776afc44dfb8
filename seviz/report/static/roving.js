// Many controls of one kind are one stop of the Tab key; arrow keys move between them.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Make the controls of a group that fit a selector one stop; they may come and go. */
function rove(group, selector) {
  const items = () => all(selector, group).filter((item) => !item.disabled && item.checkVisibility());
  let current = null;
  const settle = (wanted = current) => {
    const found = all(selector, group);
    const shown = items();
    current = shown.includes(wanted) ? wanted : (shown[0] ?? null);
    for (const item of found) item.tabIndex = item === current ? 0 : -1;
  };
  group.addEventListener("focusin", ({ target }) => {
    const item = target.closest(selector);
    if (item !== null && item !== current) settle(item);
  });
  group.addEventListener("keydown", (event) => {
    const found = items();
    const at = found.indexOf(event.target.closest(selector));
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const last = found.length - 1;
    const step = STEPS[event.key];
    const to =
      event.key === "Home" ? 0 : event.key === "End" ? last : step && Math.min(last, Math.max(0, at + step));
    if (to === undefined) return;
    event.preventDefault();
    found[to].focus();
  });
  new MutationObserver(() => settle()).observe(group, { childList: true });
  group.setAttribute("aria-describedby", "arrows");
  settle();
}

function startRoving() {
  for (const group of all("[data-rove]")) rove(group, group.dataset.rove);
  for (const head of all("thead tr")) {
    if (head.querySelector(".sort")) rove(head, ".sort");
  }
}
