-- Comments that DuckDB files and served atlases keep and DuckLake has no place for: on macros and on columns of views.

COMMENT ON COLUMN voxel_quality.model_id IS 'The model.';
COMMENT ON COLUMN voxel_quality.subject_id IS 'The subject.';
COMMENT ON COLUMN voxel_quality.voxel IS 'The voxel.';
COMMENT ON COLUMN voxel_quality.alpha IS 'Ridge penalty chosen for this voxel.';
COMMENT ON COLUMN voxel_quality.r2 IS 'Coefficient of determination on the test images, at most 1.';
COMMENT ON COLUMN voxel_quality.r IS 'Pearson correlation of predicted and measured test responses, -1 to 1.';
COMMENT ON COLUMN voxel_quality.p IS 'Share of bootstrap resamples in which r2 is below 0, or one-sided p of r; 0 to 1.';
COMMENT ON COLUMN voxel_quality.q IS 'Adjusted p, 0 to 1; NULL until all voxels of the model are fitted.';
COMMENT ON COLUMN voxel_quality.significant IS 'Whether q <= 0.05; NULL until all voxels of the model are fitted.';
COMMENT ON COLUMN voxel_quality.semantic_r IS 'Pearson correlation of predicted and measured test responses without what luminance, contrast and edges of the images predict; NULL where it is not known.';
COMMENT ON COLUMN voxel_quality.semantic_q IS 'Adjusted p of semantic_r, 0 to 1: above 0.05 low-level properties may explain all that is predicted; NULL where it is not known.';
COMMENT ON COLUMN voxel_quality.semantic IS 'Whether semantic_q <= 0.05; NULL where it is not known.';
COMMENT ON COLUMN voxel_quality.noise_ceiling IS 'Share of the variance of the averaged responses to the model''s test images that is signal, 0 to 1; NULL where unknown.';
COMMENT ON COLUMN voxel_quality.r2_of_ceiling IS 'r2 / noise_ceiling; NULL where the ceiling is below 0.1 or unknown; above 1 where the estimated ceiling is too low.';
COMMENT ON COLUMN voxel_quality.food_t IS 'Student''s t of the contrast that FOOD was made by; NULL outside the ventral stream and where the atlas did not make it.';
COMMENT ON COLUMN voxel_quality.food_q IS 'Its false discovery rate, 0 to 1; in FOOD at q <= 0.05; NULL as food_t.';
COMMENT ON COLUMN voxel_quality.i IS 'Volume index along the first NIfTI axis (x), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel_quality.j IS 'Volume index along the second NIfTI axis (y), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel_quality.k IS 'Volume index along the third NIfTI axis (z), from 0; NULL for vertices.';
COMMENT ON COLUMN voxel_quality.hemisphere IS 'left or right; NULL where it is not known.';
COMMENT ON COLUMN voxel_quality.vertex IS 'Vertex number within the hemisphere, from 0; NULL for voxels.';
COMMENT ON COLUMN voxel_quality.x_mm IS 'Place along x, in mm of the responses'' own image; NULL for vertices, and where no affine is known.';
COMMENT ON COLUMN voxel_quality.y_mm IS 'Place along y, in mm of the responses'' own image; NULL for vertices, and where no affine is known.';
COMMENT ON COLUMN voxel_quality.z_mm IS 'Place along z, in mm of the responses'' own image; NULL for vertices, and where no affine is known.';

COMMENT ON COLUMN voxel_label.model_id IS 'The model.';
COMMENT ON COLUMN voxel_label.voxel IS 'The voxel.';
COMMENT ON COLUMN voxel_label.method IS 'brainlmm-eq2, brainlmm-fused, brainlmm-joint, brainlmm-released or clip-msm.';
COMMENT ON COLUMN voxel_label.rank IS 'Place among the voxel''s labels, from 1.';
COMMENT ON COLUMN voxel_label.label IS 'The noun or noun compound.';
COMMENT ON COLUMN voxel_label.score IS 'Raw score of the method; higher is better.';
COMMENT ON COLUMN voxel_label.probability IS 'Softmax of the scaled scores over the voxel''s labels, 0 to 1.';
COMMENT ON COLUMN voxel_label.stability IS 'Share of resamples of the labels'' pictures in which the label comes first, 0 to 1; NULL where the method has none.';
COMMENT ON COLUMN voxel_label.n_images IS 'Test images that show the label; NULL, as what follows, until it is held against them.';
COMMENT ON COLUMN voxel_label.auc IS 'Chance that the measured response to such an image exceeds that to another, 0 to 1; NULL where too few show it or do not.';
COMMENT ON COLUMN voxel_label.label_q IS 'False discovery rate of that difference over all labels of the model by the method, 0 to 1.';
COMMENT ON COLUMN voxel_label.verified IS 'Whether label_q <= 0.05: the label holds on responses that it was not made from.';

COMMENT ON COLUMN unscored_label.model_id IS 'The model.';
COMMENT ON COLUMN unscored_label.voxel IS 'The voxel.';
COMMENT ON COLUMN unscored_label.method IS 'The method that gave no score.';
COMMENT ON COLUMN unscored_label.label IS 'The noun.';
COMMENT ON COLUMN unscored_label.reason IS 'Why it got none.';
COMMENT ON COLUMN top_label.model_id IS 'The model.';
COMMENT ON COLUMN top_label.voxel IS 'The voxel.';
COMMENT ON COLUMN top_label.method IS 'brainlmm-eq2, brainlmm-fused, brainlmm-joint, brainlmm-released or clip-msm.';
COMMENT ON COLUMN top_label.label IS 'The noun or noun compound.';
COMMENT ON COLUMN top_label.score IS 'Raw score of the method; higher is better.';
COMMENT ON COLUMN top_label.probability IS 'Softmax of the scaled scores over the voxel''s labels, 0 to 1.';
COMMENT ON COLUMN top_label.stability IS 'Share of resamples of the labels'' pictures in which the label comes first, 0 to 1; NULL where the method has none.';
COMMENT ON COLUMN top_label.n_images IS 'Test images that show the label; NULL, as what follows, until it is held against them.';
COMMENT ON COLUMN top_label.auc IS 'Chance that the measured response to such an image exceeds that to another, 0 to 1; NULL where too few show it or do not.';
COMMENT ON COLUMN top_label.label_q IS 'False discovery rate of that difference over all labels of the model by the method, 0 to 1.';
COMMENT ON COLUMN top_label.verified IS 'Whether label_q <= 0.05: the label holds on responses that it was not made from.';

COMMENT ON COLUMN stage_digest.stage IS 'The stage, for example fit. The stage run is left out: it holds times.';
COMMENT ON COLUMN stage_digest.model_id IS 'The model; NULL for batches that models share.';
COMMENT ON COLUMN stage_digest.batches IS 'Batches that are committed.';
COMMENT ON COLUMN stage_digest.n_rows IS 'Their rows.';
COMMENT ON COLUMN stage_digest.digest IS 'SHA-256 over the content hashes of these batches, in whatever order they came.';

COMMENT ON MACRO TABLE roi_labels IS 'FROM roi_labels(''FFA''): first labels of the voxels of a region, the commonest first; with all_voxels := true also of those that are not semantic (semantic.q > 0.05). model_id: the model; method: how labels were scored; label: the word; n_voxels: voxels whose first label it is; mean_probability: mean of their probabilities, 0 to 1.';
COMMENT ON MACRO TABLE concept_map IS 'FROM concept_map(''kitchen'', model := ''nsd/subj05/clip-rn50'', readout := ''half''): every fitted voxel of the models whose ids begin so (all by default). The readout is half unless given, which is the default of every backbone that comes with Voxel Atlas. SQL does not know that of another package''s backbone, which the other doors take: give it here. The concept is a label or a noun of the vocabulary, or concept(''any text - other text'') in `voxel-atlas sql`, in Python and at a served atlas. model_id: the model; subject_id: the subject; voxel: the voxel; similarity: cosine of the word, less the baseline, with the voxel''s readout (weights, half or pattern), -1 to 1, as every other door gives it; z: standard errors from no association, concept_q: its false discovery rate over the model''s voxels, specific: concept_q at most 0.05 and more similar than 95 % of the vocabulary''s nouns, NULL where they are not known or, specific, for sums and differences; length: of the word less the baseline, by which sums and differences of words weigh similarities; warning: a sentence where the text tower does not seem to know a word of concept(''…''), else NULL. Labels of models without a text tower are compared in Python, GraphQL and `voxel-atlas query`.';
COMMENT ON MACRO TABLE voxels_like IS 'FROM voxels_like(''cake'', model := ''nsd/subj05/clip-rn50''): the significant voxels (q <= 0.05) that are semantic (semantic.q <= 0.05, or not known), the most similar first; all_voxels := true gives the others, too; arguments and model_id, subject_id, voxel, similarity, z, concept_q, specific, length, warning as in concept_map. With percentiles := 20 the first 20 voxels have a percentile, the share of the vocabulary''s nouns that are less similar, 0 to 1, where specific is known. r2, r: prediction of the test images; q: false discovery rate of the encoding model; semantic_q: that of what it predicts beyond low-level properties; rois: names of the regions that the voxel is in.';
