"""Writes docs/SOLVERS.md to stdout from what solver_table.sh measured: solver_table.py FOLDER."""
import json
import pathlib
import statistics
import sys

SOLVERS = ["min_max", "l2", "percentile", "entropy", "mse", "auto"]
WHAT = {
    "min_max": "the observed range",
    "l2": "the least expected squared error, of all pairs of bin edges; the default",
    "percentile": "99.99 % of the values",
    "entropy": "the least Kullback-Leibler divergence (symmetric targets and one-sided data; l2 otherwise)",
    "mse": "the least error of the bin centres, quantized and back",
    "auto": "for each tensor the one of the above with the least mse objective",
}

# What auto may lose of l2's logit SQNR.
MOST_LOST_DB = 0.1


def load(folder, solver):
    run = json.loads((folder / f"{solver}.json").read_text())
    recipe = json.loads((folder / f"{solver}.recipe.json").read_text())
    return run, recipe["activations"]


def name_of(solver):
    return solver if isinstance(solver, str) else next(iter(solver))


def main():
    folder = pathlib.Path(sys.argv[1])
    runs = {solver: load(folder, solver) for solver in SOLVERS}
    run = runs["l2"][0]
    figures = {solver: data[0]["static"] for solver, data in runs.items()}
    widths = {solver: [entry["range"][1] - entry["range"][0] for entry in data[1]] for solver, data in runs.items()}
    predicted = {solver: [entry["predicted_sqnr_db"] for entry in data[1]] for solver, data in runs.items()}
    images, calibration = figures["l2"]["images"], run["calibration_images"]
    fp32 = run["fp32"]
    print("# Solvers on the ResNet-50\n")
    print(f"Written by `scripts/solver_table.sh`: the sample's ResNet-50 for CIFAR-10, static int8 with the default settings but for the solver, {calibration} images")
    print(f"to calibrate from, {images:,} test images. fp32 has a top-1 of {100 * fp32['top1']:.2f} %. CPU: {run['cpu']}, {run['isa']}; the figures are the same on every one.\n")
    print("| solver | top-1 | agreement with fp32 | logit SQNR | mean predicted SQNR of a tensor | mean width of a range, min_max = 1 |")
    print("|---|---|---|---|---|---|")
    for solver in SOLVERS:
        share = statistics.mean(width / widest for width, widest in zip(widths[solver], widths["min_max"]))
        mode = figures[solver]
        print(
            f"| {solver} | {100 * mode['top1']:.2f} % | {100 * mode['agreement']:.2f} % | {mode['logit_sqnr_db']:.1f} dB | "
            f"{statistics.mean(predicted[solver]):.2f} dB | {share:.3f} |"
        )
    print()
    for solver in SOLVERS:
        print(f"* `{solver}`: {WHAT[solver]}.")
    winners = {}
    for entry in runs["auto"][1]:
        winners[name_of(entry["solver"])] = winners.get(name_of(entry["solver"]), 0) + 1
    won = ", ".join(f"{solver} {winners[solver]}" for solver in SOLVERS if solver in winners)
    # The predicted SQNR is the signal over the mse objective, so the greater one has the lesser objective.
    worse = sum(auto < l2 for auto, l2 in zip(predicted["auto"], predicted["l2"]))
    gain = figures["auto"]["logit_sqnr_db"] - figures["l2"]["logit_sqnr_db"]
    print(f"\nOf {len(predicted['auto'])} tensors `auto` took: {won}. Tensors where its mse objective is above that of l2: {worse}.")
    if worse or gain < -MOST_LOST_DB:
        sys.exit(f"auto is worse than l2: {worse} tensors, {gain:.2f} dB of logit SQNR")
    print(f"Its logit SQNR is {abs(gain):.2f} dB {'above' if gain >= 0 else 'below'} that of l2.")


if __name__ == "__main__":
    main()
