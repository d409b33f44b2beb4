// A method that is shown alone is shown without the indentation of its `impl`.
//
// mdBook's own script has highlighted the code before this one runs: a block consists of many
// text nodes then. The button that copies a block reads it when it is pressed.
(() => {
  'use strict';

  // The indentation that all lines of this code share, but blank lines.
  const indentation = (code) => {
    const lines = code.textContent.split('\n').filter((line) => line.trim());
    return Math.min(...lines.map((line) => line.search(/\S/)));
  };

  // Removes the first `indent` spaces of each line.
  const dedent = (code, indent) => {
    const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    let left = indent;
    while (walker.nextNode()) {
      let kept = '';
      for (const character of walker.currentNode.data) {
        if (character === ' ' && left > 0) {
          left -= 1;
        } else {
          left = character === '\n' ? indent : 0;
          kept += character;
        }
      }
      walker.currentNode.data = kept;
    }
  };

  for (const code of document.querySelectorAll('pre > code.hljs')) {
    const indent = indentation(code);
    if (indent > 0 && Number.isFinite(indent)) dedent(code, indent);
  }
})();
