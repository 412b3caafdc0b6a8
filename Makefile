# The project's commands; `make help` lists them. CI and the README run `plots` and `test`, which
# need no more than a Rust toolchain; a recipe that needs more says what.
.PHONY: help bench selftest plots gallery reference lab-reference predict predict-all overhead costs test test-long lint deny portable static fuzz preempted check check-deep mutants

SWAPSCALE = target/release/swapscale
LOCAL = results/local
REFERENCE = results/reference

# What the page of `plots` shows beyond the CPUs of this machine.
PREDICTED = releases-predicted heat-predicted swapoff-predicted

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

plots: $(SWAPSCALE) ## measure on this machine unless it has a run, then draw charts and page
	@ls $(LOCAL)/*/cells.jsonl >/dev/null 2>&1 || $(SWAPSCALE) run --budget 4m --label plots \
		--variant global,scanning,percluster,swap-table
	@# A fault that escapes is for `make check` to tell; the page shows those that are caught.
	$(SWAPSCALE) check --all-faults --json > $(LOCAL)/races.json || test $$? -eq 1
	$(SWAPSCALE) plot $$(dirname $(LOCAL)/*/cells.jsonl) $(addprefix $(REFERENCE)/*-,$(PREDICTED)) \
		--race $(LOCAL)/races.json --out $(LOCAL)/plots

# The pictures that the README and docs show, from committed runs alone.
# $(1): runs, $(2): charts of them. Runs that are not committed draw nothing.
define draw
@if ls -d $(1) >/dev/null 2>&1; then $(SWAPSCALE) plot $(1) --out plots/gallery --only $(2); \
else echo "left out: no $(1)"; fi
endef

gallery: $(SWAPSCALE) ## redraw the README's pictures from the committed reference runs
	$(call draw,$(REFERENCE)/*-three-schemes,throughput-churn$(comma)butterfly-churn$(comma)latency-churn-native-alloc$(comma)contention-churn$(comma)swapoff-swapoff)
	$(call draw,$(REFERENCE)/*-ablation,ablation)
	$(call draw,$(REFERENCE)/*-swapoff,swapoff-size)
	$(call draw,$(REFERENCE)/*-hold,hold-churn-native-si--lock-mean)
	$(call draw,$(REFERENCE)/*-load,load-churn-native-alloc)
	$(call draw,$(REFERENCE)/*-mthp,series)
	$(call draw,$(REFERENCE)/*-holder-preempted*,preempted)
	$(call draw,$(REFERENCE)/*-front $(REFERENCE)/*-bare-predicted,front)
	$(call draw,$(REFERENCE)/*-front-predicted $(REFERENCE)/*-front-seq-predicted,throughput)
	$(call draw,$(REFERENCE)/*-releases-predicted,throughput)
	$(call draw,$(REFERENCE)/*-heat-predicted,heat$(comma)history)
	$(call draw,$(REFERENCE)/*-devices-predicted,throughput)
	$(call draw,$(REFERENCE)/*-swapoff-predicted,swapoff-barrier)
	$(call draw,$(REFERENCE)/*-fragmentation-predicted,hold-churn-big-384-si--lock-mean$(comma)transfers-churn-big-384-fill90)
	@# The kernel build of the second stands for that of the first, which is older.
	@for run in validation validation-build; do if [ -d $(REFERENCE)/$$run ]; then \
		$(SWAPSCALE) validate --redraw $(REFERENCE)/$$run --out plots/gallery >/dev/null || exit 1; fi; done
	$(SWAPSCALE) check percluster --fault no-barrier --diagrams $(LOCAL)/diagrams > /dev/null
	cp $(LOCAL)/diagrams/percluster-no-barrier-beside.svg plots/gallery/race-no-barrier.svg
	rm -f plots/gallery/report.html plots/gallery/*.png
	@# What no document shows is not kept.
	@for picture in plots/gallery/*.svg; do \
		grep -qrF "$$picture" README.md docs || rm $$picture; done

comma := ,

# A reference run takes the place of the last one of its plan; `make gallery` draws them.
PLANS = $(filter-out %-predicted.toml,$(wildcard plans/*.toml))
reference: $(SWAPSCALE) ## measure the plans in plans/ anew, for results/reference (quiet machine)
	@for plan in $(PLANS); do \
		label=$$(basename $$plan .toml) && \
		$(SWAPSCALE) run --plan $$plan --label $$label --out $(LOCAL)/reference && \
		rm -rf $(REFERENCE)/*-$$label && \
		mv $(LOCAL)/reference/*-$$label $(REFERENCE)/ || exit 1; \
	done

FRONT = plans/front-predicted.toml plans/front-seq-predicted.toml
predict: $(SWAPSCALE) ## simulate the full front anew, six schemes to 384 CPUs: half an hour on two cores
	$(MAKE) reference PLANS="$(FRONT)"

predict-all: predict ## the other plans *-predicted too, and models against measurements
	$(MAKE) reference PLANS="$(filter-out $(FRONT),$(wildcard plans/*-predicted.toml))"
	$(SWAPSCALE) validate --only curves,lists,host --out $(LOCAL)/validate > $(LOCAL)/validate.txt
	mkdir -p $(REFERENCE)/validation
	cp $(LOCAL)/validate/validation.json $(LOCAL)/validate.txt $(REFERENCE)/validation/
	$(SWAPSCALE) validate --only kernel-build,steps --out $(LOCAL)/validate-build > $(LOCAL)/validate-build.txt
	mkdir -p $(REFERENCE)/validation-build
	cp $(LOCAL)/validate-build/validation.json $(REFERENCE)/validation-build/
	cp $(LOCAL)/validate-build.txt $(REFERENCE)/validation-build/validate.txt
	$(SWAPSCALE) validate --only blind --out $(LOCAL)/validate-blind > $(LOCAL)/validate-blind.txt
	mkdir -p $(REFERENCE)/validation-blind
	cp $(LOCAL)/validate-blind/validation.json $(REFERENCE)/validation-blind/
	cp $(LOCAL)/validate-blind.txt $(REFERENCE)/validation-blind/validate.txt

overhead: ## what measuring costs, measured anew (quiet machine, a minute), for results/reference and the documents
	cargo bench --locked -p studies --bench overhead -- --json $(CURDIR)/$(REFERENCE)/overhead.json
	UPDATE_DOCS=1 cargo test --locked --test documents overhead

costs: ## bytes per slot, and instructions per operation (callgrind)
	@echo "$$(rustc --version), $$(uname -m), commit $$(git rev-parse --short=12 HEAD)"
	cargo run --release -p variants --example costs

# The lab, and the kernels against the model: all runs of it anew.
AGAINST = --variant 6.12,6.16,6.18 --lock tas --workload churn,swapoff \
	--size 256MiB --fill 25 --threads 1,2 --trials 6 --out $(REFERENCE)/kernel
lab-reference: $(SWAPSCALE) ## kernels in QEMU, held against the model: an hour
	rm -rf $(REFERENCE)/kernel plots/gallery/kernel
	mkdir -p $(REFERENCE)/kernel
	$(SWAPSCALE) calibrate --out $(REFERENCE)/kernel/here.toml
	$(SWAPSCALE) run $(AGAINST) --seconds 1 --label native
	$(SWAPSCALE) run $(AGAINST) --seconds 0.05 --machine $(REFERENCE)/kernel/here.toml --label simulated
	if [ "$$(id -u)" = 0 ] && [ -e /sys/class/zram-control ]; then \
		$(SWAPSCALE) run --machine kernel --workload churn,swapoff --batch 16 --size 256MiB --fill 25 \
			--threads 1,2 --trials 6 --label live --out $(REFERENCE)/kernel; \
	else echo "the running kernel left out: it needs root and zram"; fi
	$(SWAPSCALE) lab --before 6.12 --after 6.16,6.18 --workload churn,swapoff \
		--seconds 4 --out $(REFERENCE)/kernel
	$(SWAPSCALE) kernel compare $(REFERENCE)/kernel --out plots/gallery/kernel
	cp $(REFERENCE)/kernel/*-report/lab.txt $(REFERENCE)/kernel/*-report/swapoff-slots* plots/gallery/kernel
	rm -r $(REFERENCE)/kernel/*-report
	rm -rf $(REFERENCE)/lab-7
	$(SWAPSCALE) lab --before 6.12 --after 6.18,7.0,7.3 --seconds 2 --out $(REFERENCE)/lab-7
	rm -r $(REFERENCE)/lab-7/*-report
	rm -rf $(REFERENCE)/lockup
	$(SWAPSCALE) lab --before 6.12 --after 6.16,6.18,7.0,7.3 --workload mthp-swapoff \
		--boots 2 --swapoffs 8 --patience 400 --out $(REFERENCE)/lockup
	$(SWAPSCALE) lab --before 6.12 --smp 3 --workload mthp-swapoff \
		--boots 3 --swapoffs 6 --patience 260 --out $(REFERENCE)/lockup
	rm -r $(REFERENCE)/lockup/*-report

selftest: $(SWAPSCALE) ## can the engine be believed on this machine
	$(SWAPSCALE) selftest

mutants: ## put mutants into variants and machine, and see which layer of the net kills them (an hour)
	cargo test --locked -p checker --test mutants -- --ignored --exact --nocapture all_layers_over_all_mutants
	UPDATE_DOCS=1 cargo test --locked -p checker --test mutants the_document

bench: ## single operations (criterion) and the scaling plan
	cargo bench

test: lint ## format, clippy, rustdoc, licences, and every test
	cargo test --locked --workspace

lint: ## format, clippy, rustdoc; warnings denied; then deny
	cargo fmt --all --check
	@# cargo fmt does not see modules that a macro declares.
	rustfmt --edition 2024 --check machine/src/lock/*.rs machine/tests/toy/*.rs
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
	@$(MAKE) --no-print-directory deny

# The database of advisories is fetched; where it cannot be, that is said and is no failure.
deny: ## licences, sources, bans and advisories of all dependencies (cargo install cargo-deny)
	@if ! cargo deny --version >/dev/null 2>&1; then \
		echo "deny left out: it needs cargo install --locked cargo-deny"; exit 0; fi; \
	cargo deny --locked check --hide-inclusion-graph bans licenses sources || exit 1; \
	if said=$$(cargo deny --locked check advisories 2>&1); then echo "advisories ok"; \
	elif echo "$$said" | grep -q "failed to fetch advisory database"; then \
		echo "advisories left out: their database could not be fetched"; \
	else echo "$$said"; exit 1; fi

# Each part that needs a toolchain or a target which is not there, and cannot be had, is left out
# with a line. An emulated CPU is slow: what runs on it are the crates below everything else, and of
# `results` what reads and writes files.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
ARM = aarch64-unknown-linux-gnu
MUSL = x86_64-unknown-linux-musl
portable: ## check with the oldest compiler and for aarch64 and musl; run tests on an emulated aarch64
	@# The oldest compiler checks for musl: one check of everything less.
	@if timeout 60 rustup toolchain install $(MSRV) --profile minimal --target $(MUSL) >/dev/null 2>&1; then \
		set -x; cargo +$(MSRV) check --locked --workspace --target $(MUSL) --target-dir target/msrv; \
	else echo "Rust $(MSRV) for $(MUSL) left out: it could not be installed"; fi
	@if timeout 60 rustup target add $(ARM) >/dev/null 2>&1; then \
		set -x; cargo check --locked --workspace --target $(ARM); \
	else echo "$(ARM) left out: its standard library could not be installed"; fi
	@if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null && \
		rustup target list --installed | grep -q $(ARM); then \
		set -x; export SWAPSCALE_EMULATED=1 \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"; \
		cargo test --locked --target $(ARM) -p machine && \
		cargo test --locked --target $(ARM) -p results --lib --test store --test tables && \
		cargo test --locked --target $(ARM) -p variants --test oracle; \
	else echo "tests on aarch64 left out: they need qemu-user, gcc-aarch64-linux-gnu and the target"; fi

static: ## one static binary for any x86-64 Linux, in target/*-musl/release
	rustup target add $(MUSL)
	cargo build --locked --release --bin swapscale --target $(MUSL)

test-long: ## what tests do for a moment, for long: 50 kills, 200 pairs of starts and of resumes, 10,000 cells, a minute of damaged input
	SWAPSCALE_KILLS=50 SWAPSCALE_PAIRS=200 SWAPSCALE_CELLS=10000 \
		cargo test --release --test faults -- --nocapture --test-threads 1
	SWAPSCALE_FUZZ_SECONDS=60 cargo test --release --test fuzz

fuzz: ## fuzz every parser, FUZZ_SECONDS each (nightly, cargo install cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null || \
		{ echo "fuzz needs: rustup toolchain install nightly; cargo install cargo-fuzz"; exit 2; }
	for parser in $$(sed -n 's/^name = "\([a-z]*\)"$$/\1/p' fuzz/Cargo.toml); do \
		mkdir -p fuzz/corpus/$$parser fuzz/regressions/$$parser; \
		cargo +nightly fuzz run $$parser fuzz/corpus/$$parser fuzz/regressions/$$parser -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=8192 -rss_limit_mb=1024 || exit 1; \
	done
FUZZ_SECONDS ?= 60

preempted: $(SWAPSCALE) ## what a preempted lock holder costs: on this machine, on a model, and the chart
	n=$$(nproc) && $(SWAPSCALE) run --plan plans/holder-preempted.toml --threads $$n,$$((2*n)),$$((4*n))
	$(SWAPSCALE) run --plan plans/holder-preempted-model.toml
	$(SWAPSCALE) plot $(LOCAL)/*-holder-preempted* --out $(LOCAL)/preempted --only preempted,waits

check: $(SWAPSCALE) ## model-check every variant, and every historical bug put back
	$(SWAPSCALE) check
	$(SWAPSCALE) check --all-faults

check-deep: $(SWAPSCALE) test-long ## higher bounds, long random runs, Miri, ThreadSanitizer, herd7
	$(SWAPSCALE) check --deep
	$(SWAPSCALE) check --deep --all-faults
	@if cargo +nightly miri --version >/dev/null 2>&1; then $(MAKE) miri; \
	else echo "Miri left out: rustup toolchain install nightly -c miri,rust-src"; fi
	@if cargo +nightly --version >/dev/null 2>&1; then $(MAKE) tsan; \
	else echo "ThreadSanitizer left out: rustup toolchain install nightly"; fi
	@if command -v herd7 >/dev/null && [ -n "$$LKMM" ]; then \
		cd "$$LKMM" && herd7 -conf linux-kernel.cfg $(CURDIR)/docs/litmus/*.litmus; \
	else echo "litmus tests left out: they need herd7 and LKMM=<kernel>/tools/memory-model"; fi

# The machine layer under Miri: weak memory, data races, undefined behaviour.
miri:
	MIRIFLAGS="-Zmiri-many-seeds=0..32 -Zmiri-disable-isolation" \
		cargo +nightly miri test -p machine --test native -- excludes

# Every variant and lock as a plain program under ThreadSanitizer.
tsan:
	RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
		cargo +nightly test -Zbuild-std -p variants --test stress --target x86_64-unknown-linux-gnu -- threads

.PHONY: miri tsan $(SWAPSCALE)
$(SWAPSCALE):
	cargo build --locked --release --bin swapscale
