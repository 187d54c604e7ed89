"""What is answered without a model: health, lists, stored responses, dry runs."""
