import duckdb
import pytest

from voxel_atlas.schemas.tables import COMMENTS, DDL, TABLES, table_schemas


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(DDL)
    connection.execute(COMMENTS)
    return connection


def test_the_ddl_makes_the_tables_of_the_arrow_schemas_in_their_order(database: duckdb.DuckDBPyConnection) -> None:
    tables = database.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_oid").fetchall()
    assert [name for (name,) in tables] == list(TABLES) == list(table_schemas())


@pytest.mark.parametrize("table", TABLES)
def test_arrow_schemas_have_the_columns_types_and_nulls_of_the_ddl(
    database: duckdb.DuckDBPyConnection, table: str
) -> None:
    schema = table_schemas()[table]
    database.execute("SET TimeZone = 'UTC'")
    made = database.table(table).limit(0).to_arrow_table().schema
    assert [(field.name, field.type) for field in schema] == [(field.name, field.type) for field in made]
    required = database.execute(f"SELECT column_name FROM (DESCRIBE {table}) WHERE \"null\" = 'NO'").fetchall()
    assert [name for (name,) in required] == [field.name for field in schema if not field.nullable]


def test_every_table_view_and_column_of_a_table_has_a_comment(database: duckdb.DuckDBPyConnection) -> None:
    silent = database.execute(
        "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE comment IS NULL AND NOT internal UNION ALL "
        "SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal "
        "AND table_name IN (SELECT table_name FROM duckdb_tables())"
    ).fetchall()
    assert silent == []


def test_the_ddl_can_be_run_again_without_harm(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("INSERT INTO label VALUES (1, 'cake')")
    database.execute(DDL)
    assert database.execute("SELECT lemma FROM label").fetchall() == [("cake",)]


def test_every_macro_and_every_column_of_a_view_has_a_comment(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(DDL)  # it makes views and macros anew, without these comments
    database.execute(COMMENTS)
    silent = database.execute(
        "SELECT function_name FROM duckdb_functions() WHERE comment IS NULL AND NOT internal UNION ALL "
        "SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
    ).fetchall()
    assert silent == []


@pytest.mark.parametrize(
    "query", ["FROM voxel_quality", "FROM voxel_label", "FROM top_label", "FROM stage_digest", "FROM roi_labels('FFA')"]
)
def test_views_and_macros_can_be_asked(database: duckdb.DuckDBPyConnection, query: str) -> None:
    assert database.execute(query).fetchall() == []


def test_a_stages_digest_is_of_its_batches_in_any_order_and_of_each_model_apart() -> None:
    def digests(order: list[str]) -> list[tuple[str, str | None, int, str]]:
        connection = duckdb.connect()
        connection.execute(DDL)
        for name in ("s/toy/a", "s/toy/ab"):
            connection.execute(
                f"INSERT INTO model VALUES ('{name}', 's', 'toy', '{{}}', '', [0], NULL, 'toy', 1, 1, 1, NULL)"
            )
        for run, batch in enumerate(order):
            stage, key, content = batch.split()
            connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, 2, now())", [str(run), stage, key, content])
        return connection.execute("SELECT stage, model_id, n_rows, digest FROM stage_digest ORDER BY ALL").fetchall()

    batches = ["fit s/toy/a/0 c0", "fit s/toy/a/9 c1", "fit s/toy/ab/0 c2", "label x/1 c3", "run r/started c4"]
    listed = digests(batches)
    places = [("fit", "s/toy/a", 4), ("fit", "s/toy/ab", 2), ("label", None, 2)]
    assert [row[:3] for row in listed] == places
    assert digests(batches[::-1]) == listed
    changed = digests(["fit s/toy/a/0 other", *batches[1:]])
    assert [row[3] == was[3] for row, was in zip(changed, listed, strict=True)] == [False, True, True]


@pytest.fixture
def two_models() -> duckdb.DuckDBPyConnection:
    """Models s/toy/a and s/toy/b with voxels 3, 4 and 5; `cake` is [1, 0] for weights, and [2, 2] for halves."""
    connection = duckdb.connect()
    connection.execute(DDL)
    for name in "ab":
        connection.execute(
            f"INSERT INTO model VALUES ('s/toy/{name}', 's', 'toy', '{{}}', '', [0, 0], NULL, 'toy', 1, 1, 3, NULL);"
            f"INSERT INTO encoding VALUES ('s/toy/{name}', 3, [3, 4], 0, 0, 0.1, 0.2, 0, NULL), "
            f"('s/toy/{name}', 4, [2, 0], 0, 0, 0.3, 0.4, 0, NULL), ('s/toy/{name}', 5, [-1, 0], 0, 0, 0, 0, 0, NULL);"
            f"INSERT INTO concept_query VALUES ('s/toy/{name}', 'weights', 'cake', [1, 0], 1, [0, 9], [0.5, 2]), "
            f"('s/toy/{name}', 'half', 'cake', [2, 2], 1, NULL, NULL);"
            f"INSERT INTO readout_norm SELECT 's/toy/{name}', voxel, 'weights', norm, 0 FROM (VALUES (3, 5), (4, 2), "
            "(5, 1)) n(voxel, norm);"
            f"INSERT INTO readout_norm SELECT 's/toy/{name}', voxel, 'half', 20, 0 FROM range(3, 6) n(voxel);"
            f"INSERT INTO significance VALUES ('s/toy/{name}', 3, 0.05), ('s/toy/{name}', 4, 0.01), "
            f"('s/toy/{name}', 5, 0.2)"
        )
    connection.execute("INSERT INTO voxel_roi VALUES ('s', 3, 'PPA', NULL), ('s', 3, 'FFA', NULL)")
    return connection


def test_concept_map_is_the_cosine_of_all_fitted_voxels(two_models: duckdb.DuckDBPyConnection) -> None:
    for readout, similarities in (("weights", [0.6, 1, -1]), ("half", [0.7, 0.2, -0.1])):
        sql = f"FROM concept_map('cake', model := 's/toy/b', readout := '{readout}') ORDER BY voxel"
        rows = two_models.execute(sql).fetchall()
        assert [row[:3] for row in rows] == [("s/toy/b", "s", voxel) for voxel in (3, 4, 5)]
        assert [row[3] for row in rows] == pytest.approx(similarities)


def test_voxels_like_gives_significant_voxels_of_all_models_most_similar_first(
    two_models: duckdb.DuckDBPyConnection,
) -> None:
    sql = "SELECT model_id, voxel, rois FROM voxels_like(' Cake', readout := 'weights')"
    rows = two_models.execute(sql).fetchall()
    assert rows == [
        ("s/toy/a", 4, []),
        ("s/toy/b", 4, []),
        ("s/toy/a", 3, ["FFA", "PPA"]),
        ("s/toy/b", 3, ["FFA", "PPA"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'dog'", '"dog" is no label and not in the vocabulary'),
        ("'cake', model := 's/tiny'", 'No model "s/tiny"'),
        ("'cake', readout := 'quarter'", 'weights, half or pattern, not by "quarter"'),
    ],
)
def test_an_unknown_word_or_model_is_said_and_not_an_empty_answer(
    two_models: duckdb.DuckDBPyConnection, arguments: str, said: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=said):
        two_models.execute(f"FROM voxels_like({arguments})")
