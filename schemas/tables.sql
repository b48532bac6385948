-- The atlas, format 4. Only types and constraints that DuckDB, Quack and DuckLake all have: no primary keys (DuckLake
-- has none; the ledger is what makes rows unique) and FLOAT[] instead of FLOAT[n] (models differ in width).

CREATE TABLE IF NOT EXISTS atlas_format (version INTEGER NOT NULL, created TIMESTAMPTZ NOT NULL);
COMMENT ON TABLE atlas_format IS 'One row: which format of tables this atlas has.';
COMMENT ON COLUMN atlas_format.version IS 'Format number, from 1.';
COMMENT ON COLUMN atlas_format.created IS 'When the atlas was made (UTC).';

CREATE TABLE IF NOT EXISTS subject (
  subject_id VARCHAR NOT NULL, dataset VARCHAR NOT NULL, simulated BOOLEAN NOT NULL, space VARCHAR NOT NULL,
  surface VARCHAR, transform VARCHAR, shape INTEGER[], description VARCHAR NOT NULL, affine DOUBLE[],
  affine_code INTEGER);
COMMENT ON TABLE subject IS 'Whose responses these are.';
COMMENT ON COLUMN subject.subject_id IS 'Readable id, for example nsd/subj05.';
COMMENT ON COLUMN subject.dataset IS 'nsd, nod, laion-fmri, algonauts, folder or simulated.';
COMMENT ON COLUMN subject.simulated IS 'True when the responses were computed and not measured.';
COMMENT ON COLUMN subject.space IS 'volume (voxels of a functional image) or surface (vertices).';
COMMENT ON COLUMN subject.surface IS 'pycortex subject whose surfaces show this subject; NULL when there is none.';
COMMENT ON COLUMN subject.transform IS 'pycortex transform from the volume to those surfaces; NULL in surface space.';
COMMENT ON COLUMN subject.shape IS 'Volume: (z, y, x) in voxels, as pycortex orders them. Surface: (left, right) vertices.';
COMMENT ON COLUMN subject.description IS 'One sentence for people.';
COMMENT ON COLUMN subject.affine IS 'Volume: the 4 x 4 matrix from voxel indices (i, j, k) to mm, row by row, as the responses'' NIfTI file has it; NULL where no file says.';
COMMENT ON COLUMN subject.affine_code IS 'NIfTI code of the space that the affine leads to: 1 scanner, 2 aligned, 3 Talairach, 4 MNI; NULL without one.';

CREATE TABLE IF NOT EXISTS roi (
  subject_id VARCHAR NOT NULL, roi VARCHAR NOT NULL, source VARCHAR NOT NULL, description VARCHAR NOT NULL);
COMMENT ON TABLE roi IS 'Regions of interest that a subject has.';
COMMENT ON COLUMN roi.subject_id IS 'The subject.';
COMMENT ON COLUMN roi.roi IS 'Name, for example FFA.';
COMMENT ON COLUMN roi.source IS 'localiser, contrast (made by the atlas, see region_test), drawn, atlas, user or simulated.';
COMMENT ON COLUMN roi.description IS 'What defines the region, with the threshold where there is one.';

CREATE TABLE IF NOT EXISTS voxel (
  subject_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, i INTEGER, j INTEGER, k INTEGER, hemisphere VARCHAR,
  vertex INTEGER, noise_ceiling FLOAT);
COMMENT ON TABLE voxel IS 'The voxels (or vertices) of a subject that the atlas holds.';
COMMENT ON COLUMN voxel.subject_id IS 'The subject.';
COMMENT ON COLUMN voxel.voxel IS 'Number within the subject, from 0; stable between runs.';
COMMENT ON COLUMN voxel.i IS 'Volume index along the first NIfTI axis (x), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel.j IS 'Volume index along the second NIfTI axis (y), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel.k IS 'Volume index along the third NIfTI axis (z), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel.hemisphere IS 'left or right; NULL where it is not known.';
COMMENT ON COLUMN voxel.vertex IS 'Vertex number within the hemisphere, from 0; NULL for voxels.';
COMMENT ON COLUMN voxel.noise_ceiling IS 'Share of the variance of the averaged responses to all images that is signal, 0 to 1; NULL where unknown.';

CREATE TABLE IF NOT EXISTS voxel_roi (subject_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, roi VARCHAR NOT NULL, t FLOAT);
COMMENT ON TABLE voxel_roi IS 'Which voxels are in which regions.';
COMMENT ON COLUMN voxel_roi.subject_id IS 'The subject.';
COMMENT ON COLUMN voxel_roi.voxel IS 'The voxel.';
COMMENT ON COLUMN voxel_roi.roi IS 'The region.';
COMMENT ON COLUMN voxel_roi.t IS 'Localiser t value; NULL where the region was drawn.';

CREATE TABLE IF NOT EXISTS region_test (
  subject_id VARCHAR NOT NULL, roi VARCHAR NOT NULL, voxel INTEGER NOT NULL, t FLOAT NOT NULL, q FLOAT NOT NULL);
COMMENT ON TABLE region_test IS 'What a region that the atlas made was made by, as FOOD: the test of every voxel that might be in it.';
COMMENT ON COLUMN region_test.subject_id IS 'The subject.';
COMMENT ON COLUMN region_test.roi IS 'The region.';
COMMENT ON COLUMN region_test.voxel IS 'The voxel.';
COMMENT ON COLUMN region_test.t IS 'Student''s t of the contrast of the region''s category to the others.';
COMMENT ON COLUMN region_test.q IS 'Benjamini-Hochberg adjusted one-sided p over these voxels, 0 to 1; in the region at q <= 0.05.';

CREATE TABLE IF NOT EXISTS region_image (subject_id VARCHAR NOT NULL, roi VARCHAR NOT NULL, stimulus_id VARCHAR NOT NULL);
COMMENT ON TABLE region_image IS 'Images whose responses a region was made of; what is measured on them in this region is not independent of its choice.';
COMMENT ON COLUMN region_image.subject_id IS 'The subject.';
COMMENT ON COLUMN region_image.roi IS 'The region.';
COMMENT ON COLUMN region_image.stimulus_id IS 'The image.';

CREATE TABLE IF NOT EXISTS stimulus (
  stimulus_id VARCHAR NOT NULL, dataset VARCHAR NOT NULL, uri VARCHAR NOT NULL, sha256 VARCHAR NOT NULL);
COMMENT ON TABLE stimulus IS 'The images that subjects saw, and others that voxels are described by.';
COMMENT ON COLUMN stimulus.stimulus_id IS 'Readable id, for example nsd/12345.';
COMMENT ON COLUMN stimulus.dataset IS 'The data set it belongs to.';
COMMENT ON COLUMN stimulus.uri IS 'Where the image is: a path, or path#index for an image inside an HDF5 file.';
COMMENT ON COLUMN stimulus.sha256 IS 'SHA-256 of the image file or of its pixels, in hexadecimal.';

CREATE TABLE IF NOT EXISTS caption (
  stimulus_id VARCHAR NOT NULL, box INTEGER[] NOT NULL, captioner VARCHAR NOT NULL, text VARCHAR NOT NULL);
COMMENT ON TABLE caption IS 'What a captioner said of an image or of a crop of it.';
COMMENT ON COLUMN caption.stimulus_id IS 'The image.';
COMMENT ON COLUMN caption.box IS '(left, top, right, bottom) in pixels of the original image, right and bottom excluded; empty for the whole image.';
COMMENT ON COLUMN caption.captioner IS 'Captioner and its settings, for example lite@1f03aa.';
COMMENT ON COLUMN caption.text IS 'The caption.';

CREATE TABLE IF NOT EXISTS model (
  model_id VARCHAR NOT NULL, subject_id VARCHAR NOT NULL, backbone VARCHAR NOT NULL, config VARCHAR NOT NULL,
  config_sha256 VARCHAR NOT NULL, feature_mean FLOAT[] NOT NULL, feature_covariance FLOAT[], label_backbone VARCHAR NOT NULL,
  n_train INTEGER NOT NULL, n_test INTEGER NOT NULL, n_voxels INTEGER NOT NULL, test_noise DOUBLE);
COMMENT ON TABLE model IS 'Encoding models: one is a subject, a backbone and a configuration.';
COMMENT ON COLUMN model.model_id IS 'subject/backbone/first six digits of the configuration''s hash.';
COMMENT ON COLUMN model.subject_id IS 'The subject.';
COMMENT ON COLUMN model.backbone IS 'The network whose features the model uses.';
COMMENT ON COLUMN model.config IS 'Every setting that the results depend on, as JSON.';
COMMENT ON COLUMN model.config_sha256 IS 'SHA-256 of config.';
COMMENT ON COLUMN model.feature_mean IS 'Mean of the training features; a prediction is (x - feature_mean) . weights + bias.';
COMMENT ON COLUMN model.feature_covariance IS 'Covariance of the training features, row by row, where the backbone has a text tower; NULL elsewhere. Patterns (Haufe et al. 2014) come from it.';
COMMENT ON COLUMN model.label_backbone IS 'The backbone whose text tower embeds this model''s labels.';
COMMENT ON COLUMN model.n_train IS 'Images that the model was fitted on.';
COMMENT ON COLUMN model.n_test IS 'Images that it was tested on.';
COMMENT ON COLUMN model.n_voxels IS 'Voxels that were asked for; each becomes a row of encoding or of dropped.';
COMMENT ON COLUMN model.test_noise IS 'Noise that averaging leaves in responses to the test images by that in those to all: the ratio of the means of 1 / repeats; 1 where each image was shown as often; NULL, taken for 1, in models of before format 4.';

CREATE TABLE IF NOT EXISTS split (model_id VARCHAR NOT NULL, stimulus_id VARCHAR NOT NULL, part VARCHAR NOT NULL);
COMMENT ON TABLE split IS 'Which images a model was fitted and tested on.';
COMMENT ON COLUMN split.model_id IS 'The model.';
COMMENT ON COLUMN split.stimulus_id IS 'The image.';
COMMENT ON COLUMN split.part IS 'train or test.';

CREATE TABLE IF NOT EXISTS encoding (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, weights FLOAT[] NOT NULL, bias FLOAT NOT NULL, alpha DOUBLE NOT NULL,
  r2 FLOAT NOT NULL, r FLOAT NOT NULL, p FLOAT NOT NULL, residual_variance FLOAT);
COMMENT ON TABLE encoding IS 'A fitted voxel: its weights and how well it predicts the test images.';
COMMENT ON COLUMN encoding.model_id IS 'The model.';
COMMENT ON COLUMN encoding.voxel IS 'The voxel.';
COMMENT ON COLUMN encoding.weights IS 'Ridge weights, one per feature; response units (z-scored beta) per feature unit.';
COMMENT ON COLUMN encoding.bias IS 'Mean training response, in z-scored beta.';
COMMENT ON COLUMN encoding.alpha IS 'Ridge penalty chosen for this voxel.';
COMMENT ON COLUMN encoding.r2 IS 'Coefficient of determination on the test images, at most 1; below 0 is worse than the mean.';
COMMENT ON COLUMN encoding.r IS 'Pearson correlation of predicted and measured test responses, -1 to 1.';
COMMENT ON COLUMN encoding.p IS 'Share of bootstrap resamples of the test images in which r2 is below 0, or, where the model''s setting significance is correlation, one-sided p of r; 0 to 1.';
COMMENT ON COLUMN encoding.residual_variance IS 'Variance of the noise in the training responses, RSS/(n - 1 - degrees of freedom), which z and q of concepts take; NULL for backbones without a text tower, for fits through every response, and for models of before format 3.';

CREATE TABLE IF NOT EXISTS baseline (
  backbone VARCHAR NOT NULL, vocabulary_sha256 VARCHAR NOT NULL, n_words INTEGER NOT NULL, vector FLOAT[] NOT NULL);
COMMENT ON TABLE baseline IS 'What a concept is a contrast to: the mean of the unit text vectors of a fixed list of nouns, per text tower.';
COMMENT ON COLUMN baseline.backbone IS 'The text tower.';
COMMENT ON COLUMN baseline.vocabulary_sha256 IS 'SHA-256 of the list of nouns and of their vectors.';
COMMENT ON COLUMN baseline.n_words IS 'Nouns in the list.';
COMMENT ON COLUMN baseline.vector IS 'Their mean unit vector; it is taken off every concept.';

CREATE TABLE IF NOT EXISTS vocabulary (backbone VARCHAR NOT NULL, word VARCHAR NOT NULL, vector FLOAT[] NOT NULL);
COMMENT ON TABLE vocabulary IS 'The list of nouns that concepts are held against.';
COMMENT ON COLUMN vocabulary.backbone IS 'The text tower.';
COMMENT ON COLUMN vocabulary.word IS 'The noun.';
COMMENT ON COLUMN vocabulary.vector IS 'Its unit vector, not centred.';

CREATE TABLE IF NOT EXISTS readout_norm (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, readout VARCHAR NOT NULL, norm DOUBLE NOT NULL, q95 FLOAT NOT NULL);
COMMENT ON TABLE readout_norm IS 'Lengths of the vectors that concepts are compared with, C^k . weights, with C the covariance of the training features.';
COMMENT ON COLUMN readout_norm.model_id IS 'The model.';
COMMENT ON COLUMN readout_norm.voxel IS 'The voxel.';
COMMENT ON COLUMN readout_norm.readout IS 'weights (k = 0), half (k = 1/2) or pattern (k = 1).';
COMMENT ON COLUMN readout_norm.norm IS 'Length of the vector.';
COMMENT ON COLUMN readout_norm.q95 IS 'The .95 quantile of the vocabulary''s similarities to this voxel; a concept above it is specific.';

CREATE TABLE IF NOT EXISTS concept_query (
  model_id VARCHAR NOT NULL, readout VARCHAR NOT NULL, word VARCHAR NOT NULL, vector FLOAT[] NOT NULL, length DOUBLE NOT NULL,
  alphas DOUBLE[], errors DOUBLE[]);
COMMENT ON TABLE concept_query IS 'Words ready to be compared in SQL: similarity = list_inner_product(weights, vector) / norm.';
COMMENT ON COLUMN concept_query.model_id IS 'The model.';
COMMENT ON COLUMN concept_query.readout IS 'weights, half or pattern.';
COMMENT ON COLUMN concept_query.word IS 'A label of the model, or a noun of the vocabulary.';
COMMENT ON COLUMN concept_query.vector IS 'C^k . q, with q the direction of the word''s unit vector less the baseline.';
COMMENT ON COLUMN concept_query.length IS 'Length of that difference; sums and differences of words weigh similarities by it.';
COMMENT ON COLUMN concept_query.alphas IS 'The penalties that voxels of the model have, ascending; NULL, as errors, in development atlases of before there was z in SQL.';
COMMENT ON COLUMN concept_query.errors IS 'For each of them the standard error of weights . vector for noise of variance 1: z = list_inner_product(weights, vector) / (error * sqrt(residual_variance)).';

CREATE TABLE IF NOT EXISTS dropped (model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, reason VARCHAR NOT NULL);
COMMENT ON TABLE dropped IS 'Voxels that were not fitted.';
COMMENT ON COLUMN dropped.model_id IS 'The model.';
COMMENT ON COLUMN dropped.voxel IS 'The voxel.';
COMMENT ON COLUMN dropped.reason IS 'nan (a response is not a number, or infinite) or constant (the responses do not vary).';

CREATE TABLE IF NOT EXISTS significance (model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, q FLOAT NOT NULL);
COMMENT ON TABLE significance IS 'False discovery rates; written once all voxels of a model are fitted.';
COMMENT ON COLUMN significance.model_id IS 'The model.';
COMMENT ON COLUMN significance.voxel IS 'The voxel.';
COMMENT ON COLUMN significance.q IS 'Benjamini-Hochberg adjusted p over the voxels of the model, 0 to 1; significant at q <= 0.05.';

CREATE TABLE IF NOT EXISTS semantic (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, r FLOAT NOT NULL, p FLOAT NOT NULL, q FLOAT NOT NULL);
COMMENT ON TABLE semantic IS 'What a voxel''s model predicts beyond luminance, contrast and edges; written once all voxels of a model are fitted.';
COMMENT ON COLUMN semantic.model_id IS 'The model.';
COMMENT ON COLUMN semantic.voxel IS 'The voxel.';
COMMENT ON COLUMN semantic.r IS 'Pearson correlation of predicted and measured test responses, after low-level properties of the images were taken out of features and responses, -1 to 1.';
COMMENT ON COLUMN semantic.p IS 'One-sided p of r, 0 to 1.';
COMMENT ON COLUMN semantic.q IS 'Benjamini-Hochberg adjusted p over the voxels of the model, 0 to 1; a voxel is semantic at q <= 0.05.';

CREATE TABLE IF NOT EXISTS beyond_low_level (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, r FLOAT NOT NULL, p FLOAT NOT NULL);
COMMENT ON TABLE beyond_low_level IS 'What a fitted voxel''s model predicts when luminance, contrast and edges are taken out of images'' features and of responses; no rows for models of before format 4 and of fewer than 128 training images.';
COMMENT ON COLUMN beyond_low_level.model_id IS 'The model.';
COMMENT ON COLUMN beyond_low_level.voxel IS 'The voxel.';
COMMENT ON COLUMN beyond_low_level.r IS 'Pearson correlation of predicted and measured test responses, both without what low-level properties of the images predict, -1 to 1.';
COMMENT ON COLUMN beyond_low_level.p IS 'One-sided p of r, 0 to 1.';

CREATE TABLE IF NOT EXISTS learning_curve (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, n_blocks INTEGER NOT NULL, n_train INTEGER NOT NULL, r2 FLOAT NOT NULL,
  r FLOAT NOT NULL);
COMMENT ON TABLE learning_curve IS 'How well each voxel is predicted from fewer training images, on the same test images.';
COMMENT ON COLUMN learning_curve.model_id IS 'The model.';
COMMENT ON COLUMN learning_curve.voxel IS 'The voxel.';
COMMENT ON COLUMN learning_curve.n_blocks IS 'How many of the 34 blocks of training images were used: 5, 10, 15, 20, 25, 30 or 34.';
COMMENT ON COLUMN learning_curve.n_train IS 'Images in these blocks.';
COMMENT ON COLUMN learning_curve.r2 IS 'Coefficient of determination on the test images, at most 1.';
COMMENT ON COLUMN learning_curve.r IS 'Pearson correlation of predicted and measured test responses, -1 to 1.';

CREATE TABLE IF NOT EXISTS top_image (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, rank INTEGER NOT NULL, stimulus_id VARCHAR NOT NULL,
  box INTEGER[] NOT NULL, response FLOAT NOT NULL, measured FLOAT);
COMMENT ON TABLE top_image IS 'The images and crops that a voxel''s model answers to most.';
COMMENT ON COLUMN top_image.model_id IS 'The model.';
COMMENT ON COLUMN top_image.voxel IS 'The voxel.';
COMMENT ON COLUMN top_image.rank IS 'Place by response, from 1.';
COMMENT ON COLUMN top_image.stimulus_id IS 'The image.';
COMMENT ON COLUMN top_image.box IS 'The crop, as in caption.box; empty for the whole image.';
COMMENT ON COLUMN top_image.response IS 'Predicted response, in z-scored beta.';
COMMENT ON COLUMN top_image.measured IS 'Measured response to the whole image, in z-scored beta; NULL where the subject did not see it, and in models of before format 4.';

CREATE TABLE IF NOT EXISTS label (label_id BIGINT NOT NULL, lemma VARCHAR NOT NULL);
COMMENT ON TABLE label IS 'Words that label voxels.';
COMMENT ON COLUMN label.label_id IS 'First 63 bits of the SHA-256 of the lemma: the same in every atlas.';
COMMENT ON COLUMN label.lemma IS 'The noun or noun compound, in lower case.';

CREATE TABLE IF NOT EXISTS label_embedding (label_id BIGINT NOT NULL, backbone VARCHAR NOT NULL, vector FLOAT[] NOT NULL);
COMMENT ON TABLE label_embedding IS 'Labels in the space of a backbone''s text tower.';
COMMENT ON COLUMN label_embedding.label_id IS 'The label.';
COMMENT ON COLUMN label_embedding.backbone IS 'The backbone.';
COMMENT ON COLUMN label_embedding.vector IS 'Unit vector.';

CREATE TABLE IF NOT EXISTS synthetic_image (
  label_id BIGINT NOT NULL, generator VARCHAR NOT NULL, ordinal INTEGER NOT NULL, seed BIGINT NOT NULL,
  uri VARCHAR NOT NULL, sha256 VARCHAR NOT NULL);
COMMENT ON TABLE synthetic_image IS 'Pictures that were generated for a label.';
COMMENT ON COLUMN synthetic_image.label_id IS 'The label.';
COMMENT ON COLUMN synthetic_image.generator IS 'Generator and its settings, for example collage@77c0de.';
COMMENT ON COLUMN synthetic_image.ordinal IS 'Number within the label, from 0.';
COMMENT ON COLUMN synthetic_image.seed IS 'Random seed; it depends on the label, the generator and the ordinal only.';
COMMENT ON COLUMN synthetic_image.uri IS 'Path of the picture.';
COMMENT ON COLUMN synthetic_image.sha256 IS 'SHA-256 of the picture''s file, in hexadecimal.';

CREATE TABLE IF NOT EXISTS label_score (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, method VARCHAR NOT NULL, label_id BIGINT NOT NULL,
  score DOUBLE, rank INTEGER, probability FLOAT, reason VARCHAR, stability FLOAT);
COMMENT ON TABLE label_score IS 'How well a label describes a voxel.';
COMMENT ON COLUMN label_score.model_id IS 'The model.';
COMMENT ON COLUMN label_score.voxel IS 'The voxel.';
COMMENT ON COLUMN label_score.method IS 'brainlmm-eq2, brainlmm-fused, brainlmm-joint, brainlmm-released or clip-msm.';
COMMENT ON COLUMN label_score.label_id IS 'The label.';
COMMENT ON COLUMN label_score.score IS 'Raw score of the method; higher is better; NULL where a candidate got none.';
COMMENT ON COLUMN label_score.rank IS 'Place among the voxel''s labels, from 1; NULL without a score.';
COMMENT ON COLUMN label_score.probability IS 'Softmax of the scaled scores over the voxel''s labels, 0 to 1; for clip-msm over its whole list, of which the best are kept; NULL without a score.';
COMMENT ON COLUMN label_score.reason IS 'Why a candidate got no score; NULL where it has one.';
COMMENT ON COLUMN label_score.stability IS 'Share of bootstrap resamples of the labels'' pictures in which the label comes first, 0 to 1; NULL by brainlmm-released and clip-msm, without a score, and in models of before format 4.';

CREATE TABLE IF NOT EXISTS label_evidence (
  model_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, method VARCHAR NOT NULL, label_id BIGINT NOT NULL,
  shown_by VARCHAR NOT NULL, n_images INTEGER NOT NULL, auc FLOAT, t FLOAT, p FLOAT, q FLOAT);
COMMENT ON TABLE label_evidence IS 'Whether a label holds on held-out responses: those measured for the test images that show it against the rest.';
COMMENT ON COLUMN label_evidence.model_id IS 'The model.';
COMMENT ON COLUMN label_evidence.voxel IS 'The voxel.';
COMMENT ON COLUMN label_evidence.method IS 'The method that scored the label, as in label_score.';
COMMENT ON COLUMN label_evidence.label_id IS 'The label.';
COMMENT ON COLUMN label_evidence.shown_by IS 'What says that an image shows the label: detector or caption.';
COMMENT ON COLUMN label_evidence.n_images IS 'Test images that show the label.';
COMMENT ON COLUMN label_evidence.auc IS 'Chance that the response to an image that shows the label exceeds that to one that does not, 0 to 1; NULL, as t, p and q, where fewer than 5 images show it or do not.';
COMMENT ON COLUMN label_evidence.t IS 'Welch''s t of the two groups of responses.';
COMMENT ON COLUMN label_evidence.p IS 'One-sided p, 0 to 1: the larger of Welch''s and of Mann and Whitney''s.';
COMMENT ON COLUMN label_evidence.q IS 'Benjamini-Hochberg adjusted p over all pairs of voxel and label of the model and method, 0 to 1; verified at q <= 0.05.';

CREATE TABLE IF NOT EXISTS planting (
  subject_id VARCHAR NOT NULL, voxel INTEGER NOT NULL, concept VARCHAR NOT NULL, category VARCHAR NOT NULL, weight FLOAT NOT NULL);
COMMENT ON TABLE planting IS 'What a simulated subject''s voxels were tuned to. The pipeline never reads it; evaluations do.';
COMMENT ON COLUMN planting.subject_id IS 'The simulated subject.';
COMMENT ON COLUMN planting.voxel IS 'The voxel.';
COMMENT ON COLUMN planting.concept IS 'The planted concept.';
COMMENT ON COLUMN planting.category IS 'Its category: face, body, place, food, word, or contrast (early visual voxels).';
COMMENT ON COLUMN planting.weight IS 'Share of the concept in the voxel''s tuning; a voxel''s weights sum to 1.';

CREATE TABLE IF NOT EXISTS run (
  run_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL, config VARCHAR NOT NULL, code_version VARCHAR NOT NULL,
  state VARCHAR NOT NULL, recorded_at TIMESTAMPTZ NOT NULL, message VARCHAR NOT NULL);
COMMENT ON TABLE run IS 'What became of each ingest: a row when it starts and a row when it ends.';
COMMENT ON COLUMN run.run_id IS 'The run.';
COMMENT ON COLUMN run.model_id IS 'The model that it fills.';
COMMENT ON COLUMN run.config IS 'Its settings, as JSON.';
COMMENT ON COLUMN run.code_version IS 'Version of voxel-atlas.';
COMMENT ON COLUMN run.state IS 'started, finished, interrupted or failed.';
COMMENT ON COLUMN run.recorded_at IS 'When (UTC).';
COMMENT ON COLUMN run.message IS 'Empty, or the one sentence that says why it ended.';

CREATE TABLE IF NOT EXISTS ledger (
  run_id VARCHAR NOT NULL, stage VARCHAR NOT NULL, batch_key VARCHAR NOT NULL, content_sha256 VARCHAR NOT NULL,
  n_rows BIGINT NOT NULL, committed_at TIMESTAMPTZ NOT NULL);
COMMENT ON TABLE ledger IS 'Every committed batch; what makes an ingest resumable and its rows unique.';
COMMENT ON COLUMN ledger.run_id IS 'The run that committed it.';
COMMENT ON COLUMN ledger.stage IS 'The stage, for example fit.';
COMMENT ON COLUMN ledger.batch_key IS 'The batch; (stage, batch_key) is unique.';
COMMENT ON COLUMN ledger.content_sha256 IS 'SHA-256 of the batch''s rows.';
COMMENT ON COLUMN ledger.n_rows IS 'Rows in the batch, over all its tables.';
COMMENT ON COLUMN ledger.committed_at IS 'When (UTC).';

CREATE OR REPLACE VIEW voxel_quality AS
  SELECT e.model_id, m.subject_id, e.voxel, e.alpha, e.r2, e.r, e.p, s.q, s.q <= 0.05 AS significant,
         x.r AS semantic_r, x.q AS semantic_q, x.q <= 0.05 AS semantic,
         (v.ceiling / (v.ceiling + coalesce(m.test_noise, 1) * (1 - v.ceiling)))::FLOAT AS noise_ceiling,
         CASE WHEN noise_ceiling >= 0.1 THEN e.r2 / noise_ceiling END AS r2_of_ceiling,
         f.t AS food_t, f.q AS food_q, v.i, v.j, v.k, v.hemisphere, v.vertex,
         o.affine[1] * v.i + o.affine[2] * v.j + o.affine[3] * v.k + o.affine[4] AS x_mm,
         o.affine[5] * v.i + o.affine[6] * v.j + o.affine[7] * v.k + o.affine[8] AS y_mm,
         o.affine[9] * v.i + o.affine[10] * v.j + o.affine[11] * v.k + o.affine[12] AS z_mm
  FROM encoding e JOIN model m USING (model_id) LEFT JOIN subject o USING (subject_id)
       LEFT JOIN significance s USING (model_id, voxel) LEFT JOIN semantic x USING (model_id, voxel)
       LEFT JOIN (SELECT * EXCLUDE (noise_ceiling), noise_ceiling::DOUBLE AS ceiling FROM voxel) v
         ON v.subject_id = m.subject_id AND v.voxel = e.voxel
       LEFT JOIN region_test f ON f.subject_id = m.subject_id AND f.voxel = e.voxel AND f.roi = 'FOOD';
COMMENT ON VIEW voxel_quality IS 'Each fitted voxel with its place, scores and significance, without the weights; mm are those of the responses'' own image, and NULL for vertices.';

CREATE OR REPLACE VIEW voxel_label AS
  SELECT ls.model_id, ls.voxel, ls.method, ls.rank, l.lemma AS label, ls.score, ls.probability, ls.stability, e.n_images,
         e.auc, e.q AS label_q, e.q <= 0.05 AS verified
  FROM label_score ls JOIN label l USING (label_id) LEFT JOIN label_evidence e USING (model_id, voxel, method, label_id)
  WHERE ls.rank IS NOT NULL;
COMMENT ON VIEW voxel_label IS 'Each voxel''s labels by name, and whether they hold on held-out responses; candidates without a score are in unscored_label.';

CREATE OR REPLACE VIEW unscored_label AS
  SELECT ls.model_id, ls.voxel, ls.method, l.lemma AS label, ls.reason
  FROM label_score ls JOIN label l USING (label_id) WHERE ls.rank IS NULL;
COMMENT ON VIEW unscored_label IS 'Nouns of a voxel''s captions that were not scored, and why.';

CREATE OR REPLACE VIEW top_label AS SELECT * EXCLUDE (rank) FROM voxel_label WHERE rank = 1;
COMMENT ON VIEW top_label IS 'The first label of every voxel, by method.';

CREATE OR REPLACE VIEW stage_digest AS
  SELECT l.stage, m.model_id, count(*) AS batches, sum(l.n_rows)::BIGINT AS n_rows,
         sha256(string_agg(l.content_sha256, '' ORDER BY l.content_sha256)) AS digest
  FROM ledger l LEFT JOIN model m ON l.batch_key = m.model_id OR starts_with(l.batch_key, m.model_id || '/')
  WHERE l.stage <> 'run' GROUP BY l.stage, m.model_id;
COMMENT ON VIEW stage_digest IS 'What each stage has committed, in one digest, so that two atlases can be compared.';

CREATE OR REPLACE MACRO roi_labels(wanted, all_voxels := false) AS TABLE
  SELECT t.model_id, t.method, t.label, count(*) AS n_voxels, avg(t.probability) AS mean_probability
  FROM top_label t JOIN model m USING (model_id)
       JOIN voxel_roi vr ON vr.subject_id = m.subject_id AND vr.voxel = t.voxel
       JOIN voxel_quality q ON q.model_id = t.model_id AND q.voxel = t.voxel
  WHERE vr.roi = wanted AND (all_voxels OR coalesce(q.semantic, true)) GROUP BY ALL ORDER BY n_voxels DESC, label;

-- The similarity of a concept to every fitted voxel, as every other door gives it. A concept is a label, a word of the
-- vocabulary, or what the function concept('any text') gives, which voxel-atlas brings along: rows of concept_query.
-- The model is an id or whole parts of its beginning: folder/sub-1 is not folder/sub-10.
-- z's one-sided p is erfc(x) / 2 at x = z / sqrt(2), which DuckDB has not: exp(-x * x) * t * a polynomial of t, with
-- t = 1 / (1 + x / 2), fitted at Chebyshev's nodes by this project to 2e-8 of p.
-- Each table is held to the models that are asked for, or DuckDB would join all voxels of all models.
-- A vocabulary that was changed is refused: a noun's query in `weights` is its vector less the baseline, of length 1.
-- Nouns without a query are told apart from those of an ingest that is not so far: there, no other word has one.
-- Parameters have plain defaults, as DuckLake keeps no NULL; within the body, `model` and `readout` are the parameters.
CREATE OR REPLACE MACRO concept_map(concept, model := '', readout := 'half') AS TABLE
  WITH given AS (SELECT TRY_CAST(concept AS STRUCT(model_id VARCHAR, readout VARCHAR, vector DOUBLE[], length DOUBLE,
      alphas DOUBLE[], errors DOUBLE[], one_term BOOLEAN, warning VARCHAR, refusal VARCHAR)[]) AS queries),
  nouns AS (
    SELECT m.model_id, b.n_words, v.word, c.word IS NULL AS unasked,
      greatest(abs(list_distance(v.vector::DOUBLE[], b.vector::DOUBLE[]) - c.length),
        abs(list_inner_product(list_transform(v.vector::DOUBLE[], lambda x, i: x - b.vector[i]), c.vector::DOUBLE[]) - c.length)) AS off
    FROM "model" m JOIN baseline b USING (backbone) LEFT JOIN vocabulary v USING (backbone)
         LEFT JOIN concept_query c ON c.model_id = m.model_id AND c.word = v.word AND c.readout = 'weights'
    WHERE model = '' OR starts_with(m.model_id || '/', model || '/')),
  altered AS (SELECT n.model_id FROM nouns n GROUP BY n.model_id HAVING count(n.word) <> any_value(n.n_words) OR max(n.off) > 1e-5
    OR bool_or(n.unasked) AND EXISTS (FROM concept_query c WHERE c.model_id = n.model_id AND c.word NOT IN (SELECT word FROM vocabulary))),
  wanted AS (SELECT CASE
    WHEN queries[1].refusal IS NOT NULL THEN error(queries[1].refusal)::VARCHAR
    WHEN NOT EXISTS (FROM concept_query c WHERE model = '' OR starts_with(c.model_id || '/', model || '/')) THEN
      error('No model "' || model || '" has a text tower and words to compare; FROM model lists the models.')::VARCHAR
    WHEN NOT EXISTS (FROM concept_query c WHERE c.readout = readout) THEN
      error('A voxel is read out by weights, half or pattern, not by "' || readout || '".')::VARCHAR
    WHEN EXISTS (FROM altered) THEN
      error('The vocabulary of this atlas is not the one that its answers were made with; import or ingest its models into a new atlas.')::VARCHAR
    WHEN queries IS NOT NULL THEN NULL
    WHEN NOT EXISTS (FROM concept_query c WHERE c.word = lower(trim(concept::VARCHAR))) THEN
      error('"' || concept::VARCHAR || '" is no label and not in the vocabulary; in `voxel-atlas sql`, Python and at a served atlas concept(''any text'') can stand in its place.')::VARCHAR
    ELSE lower(trim(concept::VARCHAR)) END AS word, queries FROM given),
  query AS (SELECT unnest(queries, recursive := true) FROM wanted UNION ALL BY NAME
    SELECT c.* EXCLUDE (word), true AS one_term FROM wanted JOIN concept_query c USING (word)),
  error_of AS (SELECT c.model_id, c.readout, unnest(c.alphas) AS alpha, unnest(c.errors) AS error FROM query c),
  compared AS (
    SELECT e.model_id, m.subject_id, e.voxel, list_inner_product(e.weights::DOUBLE[], c.vector::DOUBLE[]) AS product,
      product / n.norm AS similarity, product / (x.error * sqrt(e.residual_variance::DOUBLE)) AS z,
      c.length, c.one_term, similarity > n.q95 AS above, c.warning
    FROM query c JOIN "model" m USING (model_id) JOIN encoding e USING (model_id)
         JOIN readout_norm n USING (model_id, voxel, readout) LEFT JOIN error_of x USING (model_id, readout, alpha)
    WHERE c.readout = readout AND (model = '' OR starts_with(m.model_id || '/', model || '/')) AND
      (model = '' OR starts_with(e.model_id || '/', model || '/')) AND
      (model = '' OR starts_with(n.model_id || '/', model || '/'))),
  tail AS (SELECT *, sqrt(8) / (sqrt(8) + abs(z)) AS t, exp(-z * z / 2) * t / 2 * (
        (((((((((0.043173066 * t - 0.234605489) * t + 0.493385739) * t - 0.454563715) * t + 0.131850037) * t -
        0.059050909) * t + 0.093414748) * t + 0.175324075) * t + 0.24688388) * t + 0.282093777) * t + 0.282094795) AS p FROM compared),
  ranked AS (SELECT *, CASE WHEN z < 0 THEN 1 - p ELSE p END * count(z) OVER (PARTITION BY model_id)
      / row_number() OVER (PARTITION BY model_id ORDER BY z DESC NULLS LAST) AS rate FROM tail),
  tested AS (SELECT *, CASE WHEN z IS NOT NULL THEN least(1, min(rate) OVER (PARTITION BY model_id ORDER BY z DESC NULLS LAST
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)) END AS concept_q FROM ranked)
  SELECT model_id, subject_id, voxel, similarity, z, concept_q,
    CASE WHEN one_term AND z IS NOT NULL THEN above AND concept_q <= 0.05 END AS specific, length, warning FROM tested;

CREATE OR REPLACE MACRO voxels_like(concept, model := '', readout := 'half', all_voxels := false, percentiles := 0) AS TABLE
  WITH hit AS (
    SELECT c.*, q.r2, q.r, q.q, q.semantic_q,
      coalesce((SELECT list(r.roi ORDER BY r.roi) FROM voxel_roi r
                WHERE r.subject_id = c.subject_id AND r.voxel = c.voxel), []) AS rois
    FROM concept_map(concept, model := model, readout := readout) c JOIN voxel_quality q USING (model_id, voxel)
    WHERE (model = '' OR starts_with(q.model_id || '/', model || '/')) AND q.significant AND
          (all_voxels OR coalesce(q.semantic, true))),
  -- Each voxel against each noun takes time, so that it is asked for, of the first so many. What a noun is above itself
  -- is rounding.
  first_hit AS (FROM hit h WHERE percentiles > 0
    QUALIFY row_number() OVER (ORDER BY h.similarity DESC, h.model_id, h.voxel) <= percentiles),
  below AS (
    SELECT h.model_id, h.voxel,
      avg((list_inner_product(e.weights::DOUBLE[], n.vector::DOUBLE[]) / l.norm < h.similarity - 1e-6)::INT) AS percentile
    FROM first_hit h JOIN "model" m USING (model_id) JOIN encoding e USING (model_id, voxel)
         JOIN readout_norm l USING (model_id, voxel) JOIN vocabulary v USING (backbone)
         JOIN concept_query n ON n.model_id = h.model_id AND n.word = v.word AND n.readout = l.readout
    WHERE h.specific IS NOT NULL AND l.readout = readout GROUP BY ALL)
  SELECT h.* EXCLUDE (rois), b.percentile, h.rois FROM hit h LEFT JOIN below b USING (model_id, voxel)
  ORDER BY h.similarity DESC, h.model_id, h.voxel;

-- The voxels that count where all of them do not. `voxel_quality` has them, too, and joins all that is told of a voxel.
CREATE OR REPLACE MACRO shown_voxels(model := '', all_voxels := false) AS TABLE
  SELECT s.model_id, s.voxel FROM significance s LEFT JOIN semantic x USING (model_id, voxel)
  WHERE (model = '' OR starts_with(s.model_id || '/', model || '/')) AND s.q <= 0.05 AND
        (all_voxels OR coalesce(x.q <= 0.05, true));

-- What papers sum up over voxels, the numbers of Python's model.roi_table, .concept_matrix and .contrast_regions but for
-- rounding; their intervals are over blocks of cortex, which SQL does not know.
CREATE OR REPLACE MACRO roi_means(concept, model := '', readout := 'half', all_voxels := false) AS TABLE
  SELECT c.model_id, c.subject_id, r.roi, count(*) AS n_voxels, avg(c.similarity) AS mean, stddev_samp(c.similarity) AS sd,
         avg(c.specific::INT) AS specific
  FROM concept_map(concept, model := model, readout := readout) c
       JOIN shown_voxels(model := model, all_voxels := all_voxels) q USING (model_id, voxel)
       JOIN voxel_roi r ON r.subject_id = c.subject_id AND r.voxel = c.voxel
  GROUP BY ALL ORDER BY c.model_id, r.roi;

CREATE OR REPLACE MACRO map_correlation(concept, other, model := '', readout := 'half', all_voxels := false) AS TABLE
  SELECT c.model_id, c.subject_id, count(*) AS n_voxels, corr(c.similarity, o.similarity) AS r
  FROM concept_map(concept, model := model, readout := readout) c
       JOIN concept_map(other, model := model, readout := readout) o USING (model_id, voxel)
       JOIN shown_voxels(model := model, all_voxels := all_voxels) q USING (model_id, voxel)
  GROUP BY ALL ORDER BY c.model_id;

CREATE OR REPLACE MACRO prefers(less_b, less_a, model := '', readout := 'half', all_voxels := false) AS TABLE
  SELECT c.model_id, c.subject_id, c.voxel, c.similarity, c.z, c.concept_q AS q_a, o.concept_q AS q_b
  FROM concept_map(less_b, model := model, readout := readout) c
       JOIN concept_map(less_a, model := model, readout := readout) o USING (model_id, voxel)
       JOIN shown_voxels(model := model, all_voxels := all_voxels) q USING (model_id, voxel)
  ORDER BY c.similarity DESC, c.model_id, c.voxel;

CREATE OR REPLACE MACRO roi_preference(less_b, less_a, model := '', readout := 'half', all_voxels := false) AS TABLE
  WITH hit AS (FROM prefers(less_b, less_a, model := model, readout := readout, all_voxels := all_voxels))
  SELECT h.model_id, h.subject_id, r.roi, count(*) AS n_voxels, avg((h.similarity > 0)::INT) AS share,
         CASE WHEN count(h.z) > 0 THEN count(*) FILTER (h.q_a <= 0.05) END AS n_a,
         CASE WHEN count(h.z) > 0 THEN count(*) FILTER (h.q_b <= 0.05) END AS n_b
  FROM hit h JOIN (SELECT subject_id, voxel, roi FROM voxel_roi UNION ALL SELECT subject_id, voxel, NULL FROM voxel) r
       ON r.subject_id = h.subject_id AND r.voxel = h.voxel
  GROUP BY ALL ORDER BY h.model_id, r.roi NULLS FIRST;
