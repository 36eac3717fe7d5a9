"""The data types of a run: the plan, its fields as text, presets, the job, and how many steps it has."""
