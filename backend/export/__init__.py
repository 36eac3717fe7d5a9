"""What leaves a run: a merged model, serving files, other trainers' configs. Only `check` loads torch."""
