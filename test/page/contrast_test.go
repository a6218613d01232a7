//go:build integration

package page

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
)

// unreadable finds the texts of the page whose contrast to their background is below what WCAG 2
// asks for (AA): 4.5, or 3 for large text. It computes that from the styles that the browser has
// computed: colours with their alpha, over the backgrounds of all ancestors, and opacity.
const unreadable = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const e = node.parentElement;
    const text = node.textContent.trim();
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!text || e.closest('.sr, .skip, noscript, [hidden], [disabled]') || box.width < 2 || box.height < 2) continue;
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    seen++;
    const chain = [];
    for (let a = e; a; a = a.parentElement) chain.unshift(a);
    let back = matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    let opacity = 1;
    for (const a of chain) {
      const style = getComputedStyle(a);
      opacity *= Number(style.opacity);
      back = over(rgba(style.backgroundColor), back);
    }
    const style = getComputedStyle(e);
    const colour = rgba(e instanceof SVGElement ? style.fill : style.color);
    colour[3] *= opacity;
    const a = light(over(colour, back)), b = light(back);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) found.push(text.slice(0, 40) + ' <' + e.tagName + ' class="' + (e.getAttribute('class') || '') + '">: ' + contrast.toFixed(2));
  }
  return JSON.stringify({ seen, found });
})()`

// readable checks the contrast of all texts that can be seen, in light and dark.
func readable(ctx context.Context, t *testing.T, what string) {
	t.Helper()
	for _, name := range []string{"light", "dark"} {
		run(ctx, t, scheme(name))
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](unreadable))
		if err != nil {
			t.Fatal(err)
		}
		var result struct {
			Seen  int      `json:"seen"`
			Found []string `json:"found"`
		}
		if err := json.Unmarshal([]byte(text), &result); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s, %s: %d texts", what, name, result.Seen)
		if result.Seen < 10 {
			t.Errorf("%s, %s: only %d texts were found", what, name, result.Seen)
		}
		for _, f := range result.Found {
			t.Errorf("%s, %s: too little contrast: %s", what, name, f)
		}
	}
	run(ctx, t, scheme("light"))
}

// TestContrastFinds: the check itself finds a text that is hard to read.
func TestContrastFinds(t *testing.T) {
	ctx := browser(t, 600, 400)
	run(ctx, t, chromedp.Navigate(world.base+"assets/icon.svg"), chromedp.Navigate("about:blank"))
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](
		`document.body.innerHTML = '<p style="color:#888;background:#fff">grey</p><p style="color:#000">black</p><p style="color:#000;opacity:0.3">pale</p>'; true`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](unreadable))
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Found []string `json:"found"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil || len(result.Found) != 2 {
		t.Errorf("grey and pale are hard to read, found %s, %v", text, err)
	}
}
