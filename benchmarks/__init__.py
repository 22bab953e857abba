"""What a run costs, measured: a generated monorepo, the cases, and the tools to compare with."""
