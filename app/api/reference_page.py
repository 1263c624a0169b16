"""Style and template of ``/docs``, see :mod:`app.api.reference`."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #16262b; --soft: #4a5b61; --page: #f3f6f6; --card: #fff; --line: #cdd8da;
  --brand: #0b5563; --tint: #e6f0f1; --red: #a3161a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8f0f1; --soft: #a9bcc1; --page: #0d1518; --card: #162226; --line: #3b4d52;
    --brand: #7fcad6; --tint: #1e3338; --red: #ff9d97;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0 auto; max-width: 78rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1, h2, h3, h4, p, ul, dl, dd { margin: 0; padding: 0; list-style: none; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.3rem; margin-block-start: 2.5rem; }
h3 { font-size: 1.05rem; }
h4 { font-size: .9rem; color: var(--soft); margin-block: 1.1rem .1rem; }
h4::first-letter { text-transform: uppercase; }
* + h3 { margin-block-start: 1.1rem; }
a { color: var(--brand); }
h3 a { color: inherit; text-decoration: none; }
h3 a:hover { text-decoration: underline; }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 2px; }
code { font-size: .9em; }
small, .soft { color: var(--soft); font-size: .9rem; }
nav { margin-block: 1rem; }
nav ul ul { display: none; }
nav > ul { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
nav > ul > li > a { display: inline-block; padding-block: .2rem; font-weight: 600; }
article { margin-block-start: .9rem; padding: 1rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
article:target { border-color: var(--brand); box-shadow: inset 4px 0 var(--brand); }
article p { margin-block-start: .4rem; max-width: 70ch; }
.route { padding: .3rem .6rem; border-radius: 8px; background: var(--tint); max-width: none; }
.who { color: var(--soft); font-size: .9rem; }
dl > div { padding-block: .45rem; border-block-end: 1px solid var(--line); }
dl > div:last-child { border: 0; padding-block-end: 0; }
dt { font-weight: 600; }
dt small { font-weight: 400; }
dd small { display: block; }
dt .must { font-weight: 600; color: var(--ink); }
.status { display: inline-block; min-width: 2.6rem; font-weight: 600; }
.fault .status { color: var(--red); }
@media (min-width: 64rem) {
  body { display: grid; grid-template: "head head" auto "nav main" auto / 15rem minmax(0, 1fr); column-gap: 2.5rem; }
  header { grid-area: head; }
  nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; margin: 0; }
  nav { padding-block: 1.2rem; font-size: .9rem; line-height: 1.35; }
  nav > ul, nav ul ul { display: block; }
  nav ul ul { margin-block: .3rem 1rem; }
  nav li li { padding-block: .15rem; }
  nav li li a { text-decoration: none; }
  nav li li a:hover { text-decoration: underline; }
  main { grid-area: main; }
  main > :first-child h2 { margin-block-start: 1.2rem; }
  article { padding: 1.2rem 1.4rem; }
  dl > div { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 0 1.5rem; }
}
"""

PAGE = """
{%- macro told(text) -%}
{%- for part in quoted.split(text) -%}
{%- if loop.index0 % 2 == 0 %}{{ part }}
{%- elif part in names %}<a href="#model-{{ part }}"><code>{{ part }}</code></a>
{%- else %}<code>{{ part }}</code>
{%- endif -%}
{%- endfor -%}
{%- endmacro -%}

{%- macro listed(fields) %}
<dl>
{% for field in fields %}
<div>
<dt><code>{{ field.name }}</code>
<small>{{ told(field.type) }}{% if field.required %}, <span class="must">required</span>{% endif %}</small></dt>
<dd>{{ told(field.text) }}
{% if field.notes %}
<small>{{ told(field.notes | join("; ")) }}</small>
{% endif %}
</dd>
</div>
{% endfor %}
</dl>
{% endmacro -%}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ info.title }}: the API</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ info.title }}: the API</h1>
<p>{{ info.summary }}. Version {{ info.version }}. For programs: <a href="openapi.json">openapi.json</a>.</p>
</header>
<nav aria-label="Contents">
<ul>
<li><a href="#basics">Basics</a></li>
{% for group in groups %}
<li><a href="#{{ group.tag }}">{{ group.title }}</a>
<ul>
{% for operation in group.operations %}
<li><a href="#{{ operation.anchor }}">{{ operation.summary }}</a></li>
{% endfor %}
</ul>
</li>
{% endfor %}
<li><a href="#models">Models</a>
<ul>
{% for model in models %}
<li><a href="#model-{{ model.name }}">{{ model.name }}</a></li>
{% endfor %}
</ul>
</li>
</ul>
</nav>
<main>
<section>
<h2 id="basics">Basics</h2>
<article>
<h3>Bodies</h3>
<p>Bodies are JSON in UTF-8 unless another type is named. Times are those of RFC 3339, with their zone. In an answer a
required field is always there; others may be missing.</p>
<h3>Sessions</h3>
<dl>
{% for name, text in schemes %}
<div id="auth-{{ name }}"><dt><code>{{ name }}</code></dt><dd>{{ told(text) }}</dd></div>
{% endfor %}
</dl>
<h3>Errors</h3>
<p>Errors are a {{ told("`Problem`") }} of the type <code>{{ problem }}</code>. Decide by its <code>name</code>,
which is stable. Beside those that an operation lists there are <code>invalid_json</code> (400), <code>too_large</code>
(413) and <code>internal_error</code> (500). After 429 and 503 wait for the seconds of <code>Retry-After</code>.</p>
</article>
</section>
{% for group in groups %}
<section>
<h2 id="{{ group.tag }}">{{ group.title }}</h2>
<p class="soft">{{ told(group.note) }}</p>
{% for operation in group.operations %}
<article id="{{ operation.anchor }}">
<h3><a href="#{{ operation.anchor }}">{{ operation.summary }}</a></h3>
<p class="route"><code><b>{{ operation.method }}</b> {{ operation.path.split("/") | join("/<wbr>" | safe) }}</code></p>
<p class="who">
{% if operation.callers %}
Needs a session:
{% for needed in operation.callers %}
{% for name in needed %}<a href="#auth-{{ name }}">{{ name }}</a>{{ " and " if not loop.last }}{% endfor %}
{{ " or " if not loop.last }}
{% endfor %}
{{ told(group.role) }}
{% else %}
Anybody may call it.
{% endif %}
</p>
{% for paragraph in operation.paragraphs %}
<p>{{ told(paragraph) }}</p>
{% endfor %}
{% for place, fields in operation.parameters %}
<h4>{{ place }} parameters</h4>
{{ listed(fields) }}
{% endfor %}
{% for body in operation.bodies %}
<h4>Body</h4>
<p class="soft">{{ told(body.type) }}, {{ body.media }}, {{ "required" if body.required else "may be left out" }}.
{{ told(body.text) }}</p>
{{ listed(body.fields) if body.fields }}
{% endfor %}
<h4>Answers</h4>
<dl>
{% for answer in operation.answers %}
<div>
<dt><span class="status">{{ answer.status }}</span> {{ told(answer.type) }} <small>{{ answer.media }}</small></dt>
<dd>{{ told(answer.text) }}</dd>
</div>
{% endfor %}
</dl>
{% for answer in operation.answers if answer.fields %}
<h4>Fields of each</h4>
{{ listed(answer.fields) }}
{% endfor %}
{% if operation.faults %}
<h4>Errors</h4>
<dl>
{% for fault in operation.faults %}
<div class="fault">
<dt><span class="status">{{ fault.status }}</span> <code>{{ fault.name }}</code></dt>
<dd>{{ told(fault.text) }}</dd>
</div>
{% endfor %}
</dl>
{% endif %}
</article>
{% endfor %}
</section>
{% endfor %}
<section>
<h2 id="models">Models</h2>
{% for model in models %}
<article id="model-{{ model.name }}">
<h3><a href="#model-{{ model.name }}"><code>{{ model.name }}</code></a></h3>
{% for paragraph in model.paragraphs %}
<p>{{ told(paragraph) }}</p>
{% endfor %}
{% if model.type %}
<p>{{ told(model.type) }} <small>{{ told(model.notes | join("; ")) }}</small></p>
{% endif %}
{{ listed(model.fields) if model.fields }}
{% if model.closed and model.fields %}
<p class="soft">Other fields are refused.</p>
{% endif %}
</article>
{% endfor %}
</section>
</main>
</body>
</html>
"""
