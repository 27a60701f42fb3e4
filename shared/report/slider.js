"use strict";

// Without this script every picture shows half bicubic, half ensemble, one below the other.

function prepareSlider(viewer) {
  const range = viewer.querySelector("input");
  const show = () => {
    viewer.style.setProperty("--at", range.value + "%");
    range.setAttribute("aria-valuetext", range.value + " % bicubic, " + (100 - range.value) + " % ensemble");
  };
  range.hidden = false;
  range.addEventListener("input", show);
  show();
}

function prepareChoice(choice) {
  const select = choice.querySelector("select");
  const panels = document.querySelectorAll("[data-choice='" + choice.dataset.for + "']");
  const show = () => panels.forEach((panel, index) => { panel.hidden = index !== select.selectedIndex; });
  choice.hidden = false;
  select.addEventListener("change", show);
  show();
}

document.querySelectorAll(".slider").forEach(prepareSlider);
document.querySelectorAll(".choice").forEach(prepareChoice);
