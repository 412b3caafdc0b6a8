# The project's commands; `make help` lists them. Every recipe is what CI and the
# README run: nothing more to install than a Rust toolchain.
.PHONY: help bench plots gallery test lint check check-deep

SWAPSCALE = target/release/swapscale
LOCAL = results/local

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

plots: $(SWAPSCALE) ## measure on this machine unless it has a run, then draw charts and page
	@ls $(LOCAL)/*/cells.jsonl >/dev/null 2>&1 || $(SWAPSCALE) run --budget 4m --label plots
	$(SWAPSCALE) plot $$(dirname $(LOCAL)/*/cells.jsonl) --out $(LOCAL)/plots

gallery: $(SWAPSCALE) ## redraw the README's pictures from the committed reference run
	$(SWAPSCALE) plot results/reference/*/ --out plots/gallery

bench: ## single operations (criterion) and the scaling plan
	cargo bench

test: lint ## format, clippy and every test
	cargo test --workspace

lint: ## format and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check: $(SWAPSCALE) ## model-check every variant, and every historical bug put back
	$(SWAPSCALE) check
	$(SWAPSCALE) check --all-faults

check-deep: $(SWAPSCALE) ## higher bounds, long random runs, and herd7 where it is installed
	$(SWAPSCALE) check --deep
	$(SWAPSCALE) check --deep --all-faults
	@if command -v herd7 >/dev/null && [ -n "$$LKMM" ]; then \
		cd "$$LKMM" && herd7 -conf linux-kernel.cfg $(CURDIR)/docs/litmus/*.litmus; \
	else echo "litmus tests left out: they need herd7 and LKMM=<kernel>/tools/memory-model"; fi

.PHONY: $(SWAPSCALE)
$(SWAPSCALE):
	cargo build --release --bin swapscale
