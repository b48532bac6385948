"""What every part of Voxel Atlas agrees on: settings, tables, the public API and errors. Imports nothing of ours."""
