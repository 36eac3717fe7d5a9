"""A run as nouns: the plan, its fields as text, the job, and how many steps it has."""
