"""The numbers behind a report: label statistics, comparisons, recovery, tests and intervals."""
