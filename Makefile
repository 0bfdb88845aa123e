# The commands of a working day. `.ci/run` runs all that must hold before a change lands.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
.PHONY: demo test lint types browser postgres bench shots docs

demo: ; python manage.py demo
test: ; pytest -n 4
lint: ; .ci/lint
types: ; mypy
browser: ; pytest -m browser
postgres: ; .ci/with-postgres pytest -n 4
bench: ; python -m tests.bench
shots: ; python -m tests.screenshots
docs: ; NO_MKDOCS_2_WARNING=1 mkdocs build --strict
