#include "kms/onboard/onboard_service.hpp"

namespace kms {

namespace {

constexpr std::string_view kStoredMark = "@STORED@";
constexpr std::string_view kPage = R"page(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>KMS set-up</title>
<style>
:root { --ink: #1b1f24; --paper: #f6f7f9; --card: #fff; --line: #d5dae0; --soft: #5b6570; --act: #0b5cad; --bad: #b3261e; --good: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #14171a; --card: #1e2226; --line: #39414a; --soft: #a0a9b3; --act: #6cb2ff; --bad: #ff8a80; --good: #6fdd8b; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
p { margin: .5rem 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 1rem 0; }
label { display: block; font-weight: 600; margin: .75rem 0 .25rem; }
input { width: 100%; font: inherit; padding: .7rem; color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: .5rem; }
button { font: inherit; font-weight: 600; width: 100%; min-height: 3rem; margin-top: 1rem; padding: .5rem 1rem; border: 0; border-radius: .5rem; color: #fff; background: #0b5cad; cursor: pointer; }
button:disabled { opacity: .5; cursor: default; }
button.plain { color: var(--act); background: none; border: 1px solid var(--act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
small, .hint { color: var(--soft); font-size: .9rem; }
dl { margin: .5rem 0 0; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin: 0; font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; max-height: 7.5rem; overflow-y: auto; }
[role=status] { white-space: pre-wrap; overflow-wrap: anywhere; }
.bad { color: var(--bad); }
.good { color: var(--good); }
[hidden] { display: none; }
</style>
</head>
<body>
<main>
<h1>This KMS has no keys yet</h1>
<p>Give it keys in one of two ways, then finish. Whoever reaches this page can do that, so do it soon.</p>

<section aria-labelledby="machine">
  <h2 id="machine">This machine</h2>
  <p class="hint">What a registry needs to know of it before it may join.</p>
  <button type="button" class="plain" id="info">Show identity</button>
  <p role="status" id="info-status"></p>
  <dl id="info-result"></dl>
</section>

<section aria-labelledby="new">
  <h2 id="new">Make new keys</h2>
  <p class="hint">For the first KMS of a site.</p>
  <form id="bootstrap">
    <label for="domain">Name of this KMS</label>
    <input id="domain" name="domain" required maxlength="253" autocapitalize="none" autocorrect="off" spellcheck="false" inputmode="url" placeholder="kms.example.com">
    <button>Make keys</button>
  </form>
  <p role="status" id="bootstrap-status"></p>
  <dl id="bootstrap-result"></dl>
</section>

<section aria-labelledby="join">
  <h2 id="join">Fetch the keys of another KMS</h2>
  <p class="hint">For every further KMS of a site. The other one must be running.</p>
  <form id="onboard">
    <label for="source">Address of the other KMS</label>
    <input id="source" name="source_url" type="url" required autocapitalize="none" autocorrect="off" spellcheck="false" placeholder="https://kms.example.com:8000">
    <label for="own">Name of this KMS</label>
    <input id="own" name="domain" required maxlength="253" autocapitalize="none" autocorrect="off" spellcheck="false" inputmode="url" placeholder="kms2.example.com">
    <button>Fetch keys</button>
  </form>
  <p role="status" id="onboard-status"></p>
  <dl id="onboard-result"></dl>
</section>

<section aria-labelledby="end">
  <h2 id="end">Finish</h2>
  <p class="hint">Ends this page; the KMS then serves with its keys at the address that its configuration gives.</p>
  <button type="button" id="finish">Finish</button>
  <p role="status" id="finish-status"></p>
</section>
</main>
<script>
const $ = (id) => document.getElementById(id)
const LIMIT = 180000
let stored = @STORED@

const say = (id, text, kind) => {
  const place = $(id)
  place.textContent = text
  place.className = kind || ''
}

const show = (id, answer) => {
  const list = $(id)
  list.replaceChildren()
  for (const [name, value] of Object.entries(answer || {})) {
    const term = document.createElement('dt')
    term.textContent = name.replaceAll('_', ' ')
    const text = document.createElement('dd')
    text.textContent = value === '' ? '(none)' : String(value)
    text.tabIndex = 0
    list.append(term, text)
  }
}

const call = async (method, body) => {
  const reply = await fetch('/prpc/Onboard.' + method + '?json', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(LIMIT)
  })
  const answer = await reply.json()
  if (!reply.ok) throw new Error(answer.error || 'status ' + reply.status)
  return answer
}

const busy = (on) => {
  for (const button of document.querySelectorAll('button')) button.disabled = on || (button.id === 'finish' && !stored)
}

const act = async (name, waiting, done, work) => {
  busy(true)
  say(name + '-status', waiting)
  try {
    show(name + '-result', await work())
    say(name + '-status', done, 'good')
    return true
  } catch (failure) {
    say(name + '-status', failure.name === 'TimeoutError' ? 'No answer within three minutes.' : failure.message, 'bad')
    return false
  } finally {
    busy(false)
  }
}

busy(false)
if (stored) say('finish-status', 'The keys are stored already.', 'good')

const fields = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]))

$('info').addEventListener('click', () => act('info', 'Asking the guest agent …', '', () => call('GetAttestationInfo', {})))
$('bootstrap').addEventListener('submit', async (event) => {
  event.preventDefault()
  if (await act('bootstrap', 'Making keys …', 'The keys are stored. Finish below.', () => call('Bootstrap', fields(event.target)))) stored = true
  busy(false)
})
$('onboard').addEventListener('submit', async (event) => {
  event.preventDefault()
  if (await act('onboard', 'Fetching keys …', 'The keys are stored. Finish below.', () => call('Onboard', fields(event.target)))) stored = true
  busy(false)
})
$('finish').addEventListener('click', async () => {
  busy(true)
  try {
    const reply = await fetch('/finish', { signal: AbortSignal.timeout(10000) })
    if (!reply.ok) throw new Error('status ' + reply.status)
    say('finish-status', 'Finished. The KMS serves now.', 'good')
  } catch (failure) {
    busy(false)
    say('finish-status', failure.message, 'bad')
  }
})
</script>
</body>
</html>
)page";

}  // namespace

std::string onboard_page(bool keys_stored) {
    std::string page(kPage);
    page.replace(page.find(kStoredMark), kStoredMark.size(), keys_stored ? "true" : "false");
    return page;
}

}  // namespace kms
