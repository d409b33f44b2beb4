// Recordings: <figure class="lab" data-recording="NAME" data-moment="NAME"> shows one, at a
// moment that it names. The page that shows it is the lab's own, in a frame.
//
// If the figure is a stepper, too, each of its captions names a moment, and the frame goes
// there. On paper, each caption has a frame of its own.
(() => {
  'use strict';

  const frameOf = (figure, moment) => {
    const { recording, level = 'story' } = figure.dataset;
    const wanted = new URLSearchParams({ recording, moment, level });
    const frame = document.createElement('iframe');
    frame.src = `${path_to_root}lab/page.html#${wanted}`;
    frame.title = `a recording: ${figure.querySelector('figcaption')?.textContent ?? recording}`;
    return frame;
  };

  const isPaper = location.pathname.endsWith('print.html');

  for (const figure of document.querySelectorAll('figure.lab')) {
    const captions = [...figure.querySelectorAll('.caption[data-moment]')];
    if (captions.length === 0) {
      figure.prepend(frameOf(figure, figure.dataset.moment));
    } else if (isPaper) {
      for (const caption of captions) caption.before(frameOf(figure, caption.dataset.moment));
    } else {
      const frame = frameOf(figure, captions[0].dataset.moment);
      captions[0].before(frame);
      figure.addEventListener('step', (step) => {
        const caption = captions.find((it) => Number(it.dataset.step) === step.detail);
        // Only what follows # is another one: the frame stays.
        frame.src = frameOf(figure, caption.dataset.moment).src;
      });
    }
  }
})();
