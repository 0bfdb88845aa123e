from django.urls import path

from . import views

app_name = "access"
urlpatterns = [
    path("customers/", views.customer_list, name="customer-list"),
    path("customers/add/", views.customer_add, name="customer-add"),
    path("customers/<int:pk>/", views.customer_page, name="customer-page"),
    path("customers/<int:pk>/rename/", views.customer_rename, name="customer-rename"),
]
