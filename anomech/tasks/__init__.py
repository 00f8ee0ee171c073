"""Who knows what a batch is: models with their inputs and answers, loading, watched parameters."""
