"""Statements that do more than to read."""

HARMS = (
    "COPY label TO '{folder}/atlas.duckdb'",
    "COPY label TO '{folder}/new.csv'",
    "SET GLOBAL memory_limit = '1MB'",
    "RESET GLOBAL memory_limit",
    "CALL quack_serve('quack:localhost:{port}', token => 'x')",
    "FROM quack_serve('quack:localhost:{port}', token => 'x')",
    "SELECT 1 FROM (SELECT * FROM quack_stop('quack:localhost:{port}'))",
    "ATTACH '{folder}/other.duckdb'",
    "INSTALL httpfs",
    "PRAGMA memory_limit = '1MB'",
    "FROM query('FROM quack_stop(''x'')')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM label'))",
    "FROM force_checkpoint()",
    "FROM ducklake_cleanup_old_files('atlas')",
    "FROM postgres_execute('atlas', 'DROP TABLE x')",
    "WITH a AS (FROM read_text('{folder}/secret.csv')) FROM a",
    "FROM '{folder}/secret.csv'",
    "FROM query_table('{folder}/secret.csv')",
    "FROM glob('{folder}/*')",
    "SELECT (SELECT content FROM read_text('{folder}/secret.csv'))",
)
