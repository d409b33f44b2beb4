// Pictures that are read step by step.
//
//   <figure class="stepper">              one step at a time is shown
//     … anything with data-step="1", "2", …; captions have the class "caption" …
//
// Without this script, and on paper, all steps are shown.
(() => {
  'use strict';

  const show = (figure, parts, state) => {
    for (const part of parts) {
      const step = Number(part.dataset.step);
      part.classList.toggle('later', step !== state.step);
      part.classList.toggle('now', step === state.step);
    }
    state.where.textContent = `${state.step} of ${state.last}`;
    state.back.disabled = state.step === 1;
    state.next.disabled = state.step === state.last;
    figure.dispatchEvent(new CustomEvent('step', { detail: state.step }));
  };

  const button = (text, label) => {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = text;
    made.setAttribute('aria-label', label);
    return made;
  };

  for (const figure of document.querySelectorAll('figure.stepper')) {
    const parts = [...figure.querySelectorAll('[data-step]')];
    const state = {
      step: 1,
      last: Math.max(...parts.map((part) => Number(part.dataset.step))),
      back: button('← Back', 'the step before'),
      next: button('Next →', 'the next step'),
      where: document.createElement('span'),
    };
    state.where.setAttribute('role', 'status');
    const go = (by) => {
      state.step = Math.min(Math.max(state.step + by, 1), state.last);
      show(figure, parts, state);
    };
    state.back.addEventListener('click', () => go(-1));
    state.next.addEventListener('click', () => go(1));

    const controls = document.createElement('div');
    controls.className = 'controls';
    controls.append(state.back, state.where, state.next);
    // In the captions' place, so that the buttons stay where they are.
    figure.prepend(controls);
    figure.classList.add('steps');
    show(figure, parts, state);
  }
})();
