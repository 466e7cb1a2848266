"""The faults that are injected by tests: what breaks, what happens then, and which test it is."""

from __future__ import annotations

FAULTS = (
    (
        "disk full at a checkpoint (a tmpfs)",
        "one line, exit 1; the older state is whole, the run goes on once there is space",
        "test_faults.py::test_a_disk_that_is_full_at_a_checkpoint_keeps_the_older_state_"
        "and_the_run_goes_on_later",
    ),
    (
        "disk full at the results (a tmpfs)",
        "one line, exit 1; nothing is trained again",
        "test_faults.py::test_a_disk_that_is_full_at_the_results_keeps_the_training_"
        "and_the_run_goes_on_later",
    ),
    (
        "disk full at a report (a tmpfs)",
        "one line, exit 1; the older table is whole",
        "test_faults.py::test_a_disk_that_is_full_at_a_report_keeps_the_older_table",
    ),
    (
        "read-only folder (a remounted tmpfs)",
        "one line; nothing is changed",
        "test_faults.py::test_a_folder_that_is_read_only_is_one_line_and_stays_as_it_is",
    ),
    (
        "checkpoint cut short or with a flipped bit",
        "found by its checksum; the run is trained again",
        "test_runner.py::test_a_damaged_checkpoint_is_told_and_trained_again",
    ),
    (
        "saved state cut short or with a flipped bit",
        "found by its checksum; the one before it is used",
        "test_trainer.py::test_a_damaged_state_is_told_and_the_one_before_it_is_used",
    ),
    (
        "foreign checkpoint",
        "refused",
        "test_checkpoint.py::test_a_foreign_file_is_refused",
    ),
    (
        "memory runs out during evaluation",
        "smaller batches, the same rows",
        "test_memory.py::test_an_evaluation_that_runs_out_of_memory_goes_on_in_smaller_batches_"
        "with_the_same_rows",
    ),
    (
        "no memory for a single image",
        "one line that names the run, no row",
        "test_memory.py::test_no_memory_for_a_single_image_is_one_line_that_names_the_run_"
        "and_no_row",
    ),
    (
        "a term of the loss is nan at a step",
        "a row with status *diverged*, the term and the step",
        "test_faults.py::test_a_term_that_is_nan_at_a_step_is_a_row_that_says_so",
    ),
    (
        "a worker process dies",
        "its run goes on in a new one with the same rows",
        "test_dispatch.py::test_a_worker_that_is_killed_loses_nothing_and_two_workers_equal_one",
    ),
    (
        "the clock goes backwards",
        "dates go backwards, nothing else",
        "test_faults.py::test_a_clock_that_goes_backwards_changes_nothing_but_dates",
    ),
    (
        "a data file changes after the training",
        "refused by its checksum, rows stay",
        "test_faults.py::test_a_data_file_that_changed_since_the_training_is_refused_"
        "and_no_row_is_touched",
    ),
    (
        "a data file changes during the training",
        "told; the training begins anew",
        "test_faults.py::test_a_data_file_that_changed_during_a_training_is_told_"
        "and_the_training_begins_anew",
    ),
    (
        "two commands on one folder",
        "they share the work, no run is done twice",
        "test_dispatch.py::test_two_commands_on_one_folder_share_the_work_and_do_no_run_twice",
    ),
    (
        "checkpoint or rows of another schema",
        "refused with what helps, and kept",
        "test_versions.py::test_a_checkpoint_of_another_version_is_refused_with_what_helps_"
        "and_kept",
    ),
)
