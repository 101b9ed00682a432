"""What GitOps tools make of Goldpool's objects: Flux's library and Argo CD's interpreter, compiled into one program."""
